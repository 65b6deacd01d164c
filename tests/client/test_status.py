"""What a manager says about itself: never more than is true, and since when."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from queue import Queue
from typing import Any

import pytest
from live import LiveServer
from raw_server import Connection, Request
from rest import Rest
from sdk_parts import ManagerOf, StartRaw, document
from waiting import until

from flagent import (
    AsyncOfflineManager,
    Closed,
    ConfigurationError,
    FlagentError,
    OfflineConfig,
    OfflineManager,
    Source,
    State,
    Status,
)


def test_from_nothing_to_live_and_back(rest: Rest, live_server: LiveServer, manager_of: ManagerOf) -> None:
    manager = manager_of(live_server.url, refresh_interval=10.0, request_timeout=5.0, auto_refresh=True)
    first = manager.status
    manager.bootstrap()
    polling = manager.status
    manager.enable_realtime_updates()
    until(lambda: manager.status.source is Source.STREAM)
    live = manager.status
    manager.disable_realtime_updates()
    manager.close()
    closed = manager.status

    assert (first.state, first.source, first.staleness, first.staleness_bound) == (State.STARTING, None, None, None)
    assert (polling.state, polling.source, polling.staleness_bound) == (State.POLLING, Source.BOOTSTRAP, 17.0)
    assert live.state is State.LIVE
    # Two and a half heartbeats, and what passed until the greeting came.
    assert live.staleness_bound is not None and 37.5 <= live.staleness_bound < 42.5
    assert live.staleness is not None and live.staleness < 5
    assert closed.state is State.CLOSED


def test_since_when(rest: Rest, live_server: LiveServer, manager_of: ManagerOf) -> None:
    manager = manager_of(live_server.url, refresh_interval=0.1, fallback_after=0.0, request_timeout=1.0)
    manager.bootstrap()
    manager.enable_realtime_updates()
    until(lambda: manager.status.since > 0.3)
    assert manager.status.state is State.LIVE

    stopped = time.monotonic()
    live_server.stop()

    until(lambda: manager.status.state is State.OFFLINE)
    began = manager.status.since
    assert began <= time.monotonic() - stopped
    until(lambda: manager.status.since > began)
    # Nothing keeps the flags fresh, and nothing is promised.
    assert manager.status.staleness_bound is None


def test_a_change_of_the_stream_is_its_source_and_a_refresh_a_poll(
    rest: Rest, live_server: LiveServer, manager_of: ManagerOf
) -> None:
    manager = manager_of(live_server.url)
    manager.bootstrap()
    manager.refresh()
    assert manager.status.source == "poll"
    manager.enable_realtime_updates()

    live_server.switch(1, False)

    until(lambda: not manager.is_enabled("new_feature", "u1"))
    assert manager.status.source == "stream"


def test_a_stream_that_only_accepted_the_connection_is_not_live(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    accepted = threading.Event()

    def answer(request: Request, connection: Connection) -> None:
        if request.is_stream:
            connection.begin_stream()
            accepted.set()
            connection.hang()
        connection.answer(document(1, "a"))

    manager = manager_of(raw_server(answer).url)
    manager.bootstrap()
    with pytest.raises(FlagentError):
        manager.enable_realtime_updates(timeout=0.2)

    assert accepted.wait(5)
    assert manager.status.state is not State.LIVE
    assert not manager.is_realtime_enabled()


def test_changes_of_state_are_one_line_each(
    rest: Rest, live_server: LiveServer, manager_of: ManagerOf, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "flagent.client"):
        manager = manager_of(live_server.url)
        manager.bootstrap()
        manager.enable_realtime_updates()
        for enabled in (False, True):
            live_server.switch(1, enabled)
        until(lambda: manager.is_enabled("new_feature", "u1"))
        manager.close()

    lines = [record.getMessage() for record in caplog.records if "the flags of" in record.getMessage()]
    assert [line.split(" are ")[1] for line in lines] == [
        "polling now, after starting",
        "live now, after polling",
        "closed now, after live",
    ]


class TestWaiting:
    def test_until_there_are_flags(self, rest: Rest, live_server: LiveServer, manager_of: ManagerOf) -> None:
        manager = manager_of(live_server.url)
        threading.Timer(0.1, manager.bootstrap).start()

        assert manager.wait_until_ready(5)
        assert manager.is_ready()
        assert not manager.wait_until_ready(0.05, live=True)

    def test_until_the_stream_is_up(self, rest: Rest, live_server: LiveServer, manager_of: ManagerOf) -> None:
        manager = manager_of(live_server.url)
        threading.Timer(0.1, manager.enable_realtime_updates, kwargs={"timeout": 0}).start()

        assert manager.wait_until_ready(5, live=True)
        assert manager.is_realtime_enabled()

    def test_not_for_ever(self, manager_of: ManagerOf) -> None:
        """F01."""
        assert manager_of("http://127.0.0.1:9").wait_until_ready(0.1) is False

    def test_not_for_one_that_is_closed(self, manager_of: ManagerOf) -> None:
        manager = manager_of("http://127.0.0.1:9")
        threading.Timer(0.1, manager.close).start()
        with pytest.raises(Closed):
            # Closed meanwhile, or before.
            while True:
                assert manager.wait_until_ready(5) is False

    def test_in_asyncio(self, rest: Rest, live_server: LiveServer) -> None:
        async def run(ready: Callable[[AsyncOfflineManager], object]) -> None:
            manager = AsyncOfflineManager(live_server.url)
            waiting = asyncio.create_task(manager.wait_until_ready(5, live=True))
            await manager.enable_realtime_updates()
            assert await waiting
            ready(manager)
            await manager.close()

        asyncio.run(run(lambda manager: manager.is_enabled("new_feature", "u1")))


def test_nothing_is_claimed_for_a_manager_that_was_never_used() -> None:
    manager = OfflineManager("http://127.0.0.1:9")

    assert manager.status.state is State.STARTING
    assert manager.status.since < 60
    assert manager.status.source is None


class TestStale:
    def test_is_told_once_each_time_that_it_happens(
        self, rest: Rest, live_server: LiveServer, start_server: Callable[..., LiveServer], manager_of: ManagerOf
    ) -> None:
        told: Queue[Status] = Queue()
        manager = manager_of(live_server.url, auto_refresh=False)
        manager.on_stale(told.put, after=0.3)
        manager.bootstrap()

        first = told.get(timeout=5)
        assert first.staleness is not None and 0.3 <= first.staleness < 5
        manager.refresh()
        second = told.get(timeout=5)
        assert second.staleness is not None and second.staleness < 5
        assert told.empty()

    def test_is_not_told_while_the_stream_confirms(
        self, rest: Rest, start_server: Callable[..., LiveServer], manager_of: ManagerOf
    ) -> None:
        server = start_server(heartbeat=0.05)
        told: Queue[Status] = Queue()
        manager = manager_of(server.url)
        manager.bootstrap()
        manager.enable_realtime_updates()
        manager.on_stale(told.put, after=1.0)
        until(lambda: manager.status.since > 1.5)
        assert told.empty()

        server.stop()

        assert told.get(timeout=5).state is not State.LIVE

    def test_one_that_was_removed_is_not_told(self, rest: Rest, live_server: LiveServer, manager_of: ManagerOf) -> None:
        told: Queue[Status] = Queue()
        removed: Queue[Status] = Queue()
        manager = manager_of(live_server.url, auto_refresh=False)
        manager.bootstrap()
        manager.on_stale(removed.put, after=0.2).remove()
        manager.on_stale(told.put, after=0.2)

        assert told.get(timeout=5).staleness is not None
        assert removed.empty()

    def test_in_asyncio(self, rest: Rest, live_server: LiveServer) -> None:
        async def run() -> State:
            told: asyncio.Queue[Status] = asyncio.Queue()
            async with AsyncOfflineManager(live_server.url, OfflineConfig(auto_refresh=False)) as manager:
                manager.on_stale(told.put, after=0.1)
                return (await asyncio.wait_for(told.get(), 5)).state

        assert asyncio.run(run()) is State.STALE

    @pytest.mark.parametrize("after", [0, -1, float("nan"), float("inf"), "5", True])
    def test_after_is_a_time(self, after: Any) -> None:
        with pytest.raises(ConfigurationError, match="after"):
            OfflineManager("http://127.0.0.1:9").on_stale(print, after)
