"""Listeners: told of every net change, apart from what keeps flags fresh, and able to do no harm."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from queue import Queue

import pytest
from live import LiveServer
from rest import Rest
from sdk_parts import ManagerOf
from waiting import seconds, until

from flagent import AsyncOfflineManager, ConfigurationError, FlagChange, OfflineManager, ValueChange


@pytest.fixture
def live(rest: Rest, live_server: LiveServer, manager_of: ManagerOf) -> OfflineManager:
    """A manager that is live, on a server with the flag `new_feature`, which is on."""
    manager = manager_of(live_server.url)
    manager.bootstrap()
    manager.enable_realtime_updates()
    return manager


def test_every_change_is_told_with_the_flag_before_and_after(live: OfflineManager, live_server: LiveServer) -> None:
    told: Queue[FlagChange] = Queue()
    live.on_change(told.put)

    live_server.switch(1, False)
    switched = told.get(timeout=5)
    live_server.create_flag("b")
    made = told.get(timeout=5)
    live_server.http.delete("/flags/1")
    gone = told.get(timeout=5)

    assert switched.old is not None and switched.new is not None
    assert (switched.flag_key, switched.old.enabled, switched.new.enabled) == ("new_feature", True, False)
    assert (made.flag_key, made.old) == ("b", None)
    assert (gone.flag_key, gone.new) == ("new_feature", None)


def test_a_renamed_flag_is_gone_under_one_key_and_new_under_another(
    live: OfflineManager, live_server: LiveServer
) -> None:
    told: Queue[FlagChange] = Queue()
    live.on_change(told.put)

    live_server.http.put("/flags/1", json={"key": "renamed"}).raise_for_status()

    found = {(change.flag_key, change.old is None, change.new is None) for change in (told.get(timeout=5), told.get())}
    assert found == {("new_feature", False, True), ("renamed", True, False)}


def test_of_one_flag_only(live: OfflineManager, live_server: LiveServer) -> None:
    told: Queue[FlagChange] = Queue()
    live.on_flag_change("b", told.put)

    live_server.switch(1, False)
    live_server.create_flag("b")

    assert told.get(timeout=5).flag_key == "b"
    assert told.empty()


def test_only_when_the_entity_gets_something_else(live: OfflineManager, live_server: LiveServer) -> None:
    told: Queue[ValueChange] = Queue()
    live.on_value_change("new_feature", "u1", {"country": "DE"}, told.put)

    live_server.http.put("/flags/1", json={"description": "nothing that matters"}).raise_for_status()
    live_server.create_flag("b")
    live_server.switch(1, False)

    change = told.get(timeout=5)
    assert (change.flag_key, change.old.variant_key, change.new.variant_key) == ("new_feature", "on", None)
    assert told.empty()


def test_a_flag_that_comes_into_being_has_a_value_then(live: OfflineManager, live_server: LiveServer) -> None:
    told: Queue[ValueChange] = Queue()
    live.on_value_change("b", "u1", None, told.put)

    live_server.create_flag("b")
    live_server.switch(2, True)

    change = told.get(timeout=5)
    assert (change.old.variant_key, change.new.variant_key) == (None, "on")
    assert told.empty()


def test_one_that_was_removed_is_not_called(live: OfflineManager, live_server: LiveServer) -> None:
    told: Queue[FlagChange] = Queue()
    removed: Queue[FlagChange] = Queue()
    registration = live.on_change(removed.put)
    live.on_change(told.put)
    registration.remove()
    registration.remove()

    live_server.switch(1, False)

    assert told.get(timeout=5).flag_key == "new_feature"
    assert removed.empty()


@pytest.mark.covers("F80")
def test_one_that_raises_changes_nothing_and_is_logged(
    live: OfflineManager, live_server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    """F80."""
    told: Queue[FlagChange] = Queue()

    def broken(_change: FlagChange) -> None:
        raise RuntimeError("broken on purpose")

    live.on_change(broken)
    live.on_change(told.put)
    for enabled in (False, True):
        live_server.switch(1, enabled)
        assert told.get(timeout=5).new is not None

    until(lambda: caplog.text.count("broken on purpose") >= 2)
    assert "test_one_that_raises" in caplog.text
    assert live.is_realtime_enabled()


@pytest.mark.covers("G9", "F80")
def test_one_that_blocks_holds_nothing_up_and_gets_the_net_change(
    live: OfflineManager, live_server: LiveServer
) -> None:
    """F80: nor does it hold `close` up."""
    told: Queue[FlagChange] = Queue()
    blocked, go_on = threading.Event(), threading.Event()

    def blocking(change: FlagChange) -> None:
        told.put(change)
        blocked.set()
        go_on.wait(10)

    live.on_change(blocking)
    live_server.switch(1, False)
    assert blocked.wait(5)
    for number in range(20):
        live_server.http.put("/flags/1", json={"description": str(number)}).raise_for_status()
    until(lambda: live.status.cursor == str(live_server.services.hub.cursor))
    go_on.set()

    first, rest = told.get(timeout=5), told.get(timeout=5)
    assert (first.new, told.empty()) == (rest.old, True)
    assert rest.new is not None and rest.new.description == "19"
    go_on.clear()
    blocked.clear()
    live_server.switch(1, True)
    assert blocked.wait(5)
    assert seconds(live.close) < 2
    go_on.set()


@pytest.mark.covers("G9", "F78", "F80")
def test_one_may_call_the_manager_and_close_it(live: OfflineManager, live_server: LiveServer) -> None:
    done: Queue[bool] = Queue()

    def closing(_change: FlagChange) -> None:
        enabled = live.is_enabled("new_feature", "u1")
        live.refresh()
        live.close()
        done.put(enabled)

    live.on_change(closing)
    live_server.switch(1, False)

    assert done.get(timeout=5) is False
    assert live.status.state == "closed"


@pytest.mark.covers("G9", "F78")
def test_after_close_nobody_is_called(live: OfflineManager, live_server: LiveServer) -> None:
    told: Queue[FlagChange] = Queue()
    live.on_change(told.put)
    live.close()

    live_server.switch(1, False)

    assert told.empty()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("flagent listeners")]


def test_iterating_gives_each_change_and_ends_with_the_manager(live: OfflineManager, live_server: LiveServer) -> None:
    changes = live.changes()
    live_server.switch(1, False)
    first = next(changes)
    live_server.create_flag("b")
    second = next(changes)
    live.close()

    assert [first.flag_key, second.flag_key, *(change.flag_key for change in changes)] == ["new_feature", "b"]
    assert list(live.changes()) == []


def test_iterating_ends_when_it_is_closed_from_elsewhere(live: OfflineManager) -> None:
    with live.changes() as changes:
        threading.Timer(0.05, changes.close).start()

        assert list(changes) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_in_a_forked_child_listeners_go_on(live: OfflineManager, live_server: LiveServer) -> None:
    told: Queue[FlagChange] = Queue()
    live.on_change(told.put)
    live_server.switch(1, False)
    told.get(timeout=5)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # Waits for what its own stream brings.
        live.is_enabled("new_feature", "u1")
        os.write(writing, b"r")
        key = told.get(timeout=20).flag_key
        os.write(writing, key.encode())
        os._exit(0)
    assert os.read(reading, 1) == b"r"
    until(lambda: len(live_server.services.broadcaster) == 2, 10)
    live_server.create_flag("after")

    assert os.read(reading, 100) == b"after"
    assert told.get(timeout=5).flag_key == "after"
    os.waitpid(child, 0)


class TestAsync:
    def test_listeners_are_awaited(self, rest: Rest, live_server: LiveServer) -> None:
        async def run() -> None:
            told: asyncio.Queue[str] = asyncio.Queue()

            async def listen(change: FlagChange) -> None:
                await asyncio.sleep(0)
                await told.put(change.flag_key)

            def broken(_change: FlagChange) -> None:
                raise RuntimeError("broken on purpose")

            async with AsyncOfflineManager(live_server.url) as manager:
                await manager.enable_realtime_updates()
                manager.on_change(broken)
                manager.on_change(listen)
                manager.on_value_change("new_feature", "u1", None, lambda change: told.put(change.new.reason))
                await asyncio.to_thread(live_server.switch, 1, False)

                found = {await asyncio.wait_for(told.get(), 5), await asyncio.wait_for(told.get(), 5)}
                assert found == {"new_feature", "FLAG_DISABLED"}

        asyncio.run(run())

    def test_iterating(self, rest: Rest, live_server: LiveServer) -> None:
        async def run() -> list[str]:
            found = []
            async with AsyncOfflineManager(live_server.url) as manager:
                await manager.enable_realtime_updates()
                changes = manager.changes()
                await asyncio.to_thread(live_server.switch, 1, False)
                async for change in changes:
                    found.append(change.flag_key)
                    if len(found) == 1:
                        await asyncio.to_thread(live_server.create_flag, "b")
                    else:
                        await manager.close()
            return found

        assert asyncio.run(asyncio.wait_for(run(), 10)) == ["new_feature", "b"]


def test_a_coroutine_function_is_no_listener_of_the_blocking_manager(live: OfflineManager) -> None:
    async def listen(_change: object) -> None:
        """Nobody would await it."""

    for add in (live.on_change, lambda callback: live.on_flag_change("a", callback)):
        with pytest.raises(ConfigurationError, match="coroutine function"):
            add(listen)
    with pytest.raises(ConfigurationError, match="coroutine function"):
        live.on_value_change("a", "u1", None, listen)


def test_the_snapshot_of_a_poll_is_compared_as_a_whole(
    rest: Rest, live_server: LiveServer, manager_of: Callable[..., OfflineManager]
) -> None:
    manager = manager_of(live_server.url)
    manager.bootstrap()
    told: Queue[FlagChange] = Queue()
    manager.on_change(told.put)
    for key in ("b", "c"):
        live_server.create_flag(key)

    manager.refresh()

    assert {told.get(timeout=5).flag_key, told.get(timeout=5).flag_key} == {"b", "c"}
