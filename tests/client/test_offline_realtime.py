"""The manager against a live server: it follows changes by stream, and by polling."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from live import LiveServer
from rest import Rest
from sdk_parts import ManagerOf, Recording
from waiting import until

from flagent import (
    FlagentClient,
    Reason,
    State,
    TransportError,
)


def watched(value: Callable[[], float | None], duration: float) -> list[float]:
    """Return what a value is during so many seconds."""
    seen: list[float] = []
    end = time.monotonic() + duration

    def look() -> bool:
        seen.append(value() or 0.0)
        return time.monotonic() > end

    until(look)
    return seen


def test_change_at_the_server_is_evaluated_without_a_download(rest: Rest, manager_of: ManagerOf) -> None:
    http = Recording()
    manager = manager_of(FlagentClient(rest.server.url, http_client=http), auto_refresh=False)
    manager.bootstrap()
    manager.enable_realtime_updates()

    rest.put("/flags/1/enabled", {"enabled": False})
    until(lambda: not manager.is_enabled("new_feature", "user123"))
    rest.flag("another", template="simple_boolean_flag")
    until(lambda: manager.evaluate("another", "u").reason is Reason.FLAG_DISABLED)
    rest.put("/flags/1", {"key": "renamed"})
    until(lambda: manager.evaluate("new_feature", "u").reason is Reason.FLAG_NOT_FOUND)
    rest.delete("/flags/1")
    until(lambda: set(manager.evaluate_all("u")) == {"another"})

    assert http.downloads == 1
    assert manager.status.divergences == 0


def test_change_between_bootstrap_and_stream_is_not_lost(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url)
    manager.bootstrap()
    rest.put("/flags/1/enabled", {"enabled": False})

    manager.enable_realtime_updates()

    until(lambda: not manager.is_enabled("new_feature", "user123"))


def test_stream_alone_makes_a_manager_ready(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, auto_refresh=False)

    manager.enable_realtime_updates()

    assert manager.is_enabled("new_feature", "user123")


@pytest.mark.parametrize("chosen", [{"flag_keys": ["watched"]}, {"flag_ids": [2]}], ids=["keys", "ids"])
def test_filtered_stream_updates_only_what_it_is_about(
    rest: Rest, manager_of: ManagerOf, chosen: dict[str, Any]
) -> None:
    rest.flag("watched", template="simple_boolean_flag")
    manager = manager_of(rest.server.url, auto_refresh=False, safety_poll_interval=0)
    manager.bootstrap()
    manager.enable_realtime_updates(**chosen)

    rest.put("/flags/1/enabled", {"enabled": False})
    rest.put("/flags/2/enabled", {"enabled": True})

    until(lambda: manager.is_enabled("watched", "user123"))
    assert manager.is_enabled("new_feature", "user123")


def test_after_a_filtered_stream_the_others_are_caught_up_with(rest: Rest, manager_of: ManagerOf) -> None:
    rest.flag("watched", template="simple_boolean_flag")
    manager = manager_of(rest.server.url, auto_refresh=False, safety_poll_interval=0)
    manager.bootstrap()
    manager.enable_realtime_updates(flag_keys=["watched"])
    rest.put("/flags/1/enabled", {"enabled": False})
    rest.put("/flags/2/enabled", {"enabled": True})
    until(lambda: manager.is_enabled("watched", "user123"))

    manager.enable_realtime_updates()

    assert not manager.is_enabled("new_feature", "user123")
    assert manager.is_enabled("watched", "user123")
    assert manager.status.divergences == 0


def test_disabled_stream_can_be_enabled_again_and_misses_nothing(rest: Rest, manager_of: ManagerOf) -> None:
    http = Recording()
    manager = manager_of(FlagentClient(rest.server.url, http_client=http), auto_refresh=False)
    manager.bootstrap()
    manager.enable_realtime_updates()

    manager.disable_realtime_updates()
    assert not manager.is_realtime_enabled()
    manager.disable_realtime_updates()
    rest.put("/flags/1/enabled", {"enabled": False})
    assert manager.is_enabled("new_feature", "user123")
    manager.enable_realtime_updates()

    until(lambda: not manager.is_enabled("new_feature", "user123"))
    assert http.downloads == 1


def test_enabling_twice_keeps_the_stream(rest: Rest, manager_of: ManagerOf) -> None:
    http = Recording()
    manager = manager_of(FlagentClient(rest.server.url, http_client=http))
    manager.bootstrap()

    manager.enable_realtime_updates()
    manager.enable_realtime_updates(rest.server.url + "/api/v1")

    assert http.paths.count("/api/v1/realtime/sse") == 1


def test_polling_brings_changes_without_a_stream(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, refresh_interval=0.05)
    manager.bootstrap()

    rest.put("/flags/1/enabled", {"enabled": False})

    until(lambda: not manager.is_enabled("new_feature", "user123"))
    assert manager.status.state is State.POLLING


def test_safety_poll_beside_a_live_stream_asks_conditionally(rest: Rest, manager_of: ManagerOf) -> None:
    statuses: list[int] = []

    async def remember(response: httpx2.Response) -> None:
        if response.request.url.path.startswith("/api/v1/export"):
            statuses.append(response.status_code)

    client = FlagentClient(
        rest.server.url, http_client=lambda: httpx2.AsyncClient(event_hooks={"response": [remember]})
    )
    manager = manager_of(client, auto_refresh=False, safety_poll_interval=0.05)
    manager.bootstrap()
    manager.enable_realtime_updates()

    until(lambda: 304 in statuses)
    rest.put("/flags/1/enabled", {"enabled": False})
    until(lambda: not manager.is_enabled("new_feature", "user123"))
    statuses.clear()

    # The stream has brought the change already: the tag has moved on with it.
    until(lambda: len(statuses) >= 2)
    assert set(statuses) == {304}


def test_age_of_a_live_snapshot_stays_below_the_heartbeat(
    start_server: Callable[..., LiveServer], manager_of: ManagerOf
) -> None:
    server = start_server(heartbeat=0.05)
    manager = manager_of(server.url, snapshot_ttl=0.5)
    manager.bootstrap()
    manager.enable_realtime_updates()
    loaded = manager.status.cursor

    ages = watched(lambda: manager.snapshot_age, 0.6)

    assert max(ages) < 0.5
    assert not manager.is_snapshot_expired()
    assert manager.status.cursor == loaded


def test_stream_that_can_not_be_had_in_time_is_said_and_tried_on(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url)
    manager.bootstrap()

    with pytest.raises(TransportError, match="refused"):
        manager.enable_realtime_updates("http://127.0.0.1:9", timeout=0.3)

    status = manager.status
    assert (manager.is_realtime_enabled(), status.attempt > 0) == (False, True)
    assert isinstance(status.last_error, TransportError)
    assert manager.is_enabled("new_feature", "user123")


def test_many_threads_evaluate_while_flags_change(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url)
    manager.bootstrap()
    manager.enable_realtime_updates()
    stop, wrong = threading.Event(), []

    def evaluate() -> None:
        while not stop.is_set():
            result = manager.evaluate("new_feature", "user123")
            if (result.reason, result.variant_key) not in ((Reason.MATCH, "on"), (Reason.FLAG_DISABLED, None)):
                wrong.append(result)

    threads = [threading.Thread(target=evaluate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(8):
        rest.put("/flags/1/enabled", {"enabled": number % 2 == 0})
    rest.put("/flags/1/enabled", {"enabled": False})
    until(lambda: not manager.is_enabled("new_feature", "user123"))
    stop.set()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_cleared_manager_with_a_stream_gets_its_flags_back(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, auto_refresh=False)
    manager.bootstrap()
    manager.enable_realtime_updates()

    manager.clear_cache()

    until(lambda: manager.is_enabled("new_feature", "user123"))
