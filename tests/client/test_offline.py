"""The manager against a live server: load, evaluate, follow, poll."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from live import LiveServer
from rest import Rest
from waiting import until

import flagent
from flagent import (
    Closed,
    ConfigurationError,
    EvalRequest,
    FlagentClient,
    OfflineManager,
    Reason,
    State,
    TransportError,
)

ManagerOf = Callable[..., OfflineManager]


class Recording:
    """Makes HTTP clients that remember the paths they ask for."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(event_hooks={"request": [self._remember]})

    async def _remember(self, request: httpx2.Request) -> None:
        self.paths.append(request.url.path)

    @property
    def downloads(self) -> int:
        return self.paths.count("/api/v1/export/eval_cache/json")


def watched(value: Callable[[], float | None], duration: float) -> list[float]:
    """Return what a value is during so many seconds."""
    seen: list[float] = []
    end = time.monotonic() + duration

    def look() -> bool:
        seen.append(value() or 0.0)
        return time.monotonic() > end

    until(look)
    return seen


def test_making_a_manager_does_nothing_yet(manager_of: ManagerOf) -> None:
    before = threading.active_count()

    manager = manager_of("http://127.0.0.1:9")

    assert threading.active_count() == before
    assert (manager.is_ready(), manager.status.state) == (False, State.STARTING)


def test_evaluation_before_the_bootstrap_is_not_ready_and_never_raises(manager_of: ManagerOf) -> None:
    manager = manager_of("http://127.0.0.1:9")

    result = manager.evaluate("new_feature", "user123")

    assert (result.flag_key, result.entity_id, result.reason) == ("new_feature", "user123", Reason.NOT_READY)
    assert (result.is_enabled(), result.variant_key) == (False, None)
    assert not manager.is_enabled("new_feature", "user123")
    assert manager.get_variant("new_feature", "user123") is None
    assert manager.evaluate_batch([EvalRequest(flag_id=1, entity_id="u")])[0].reason is Reason.NOT_READY
    assert manager.evaluate_all("user123") == {}
    assert (manager.snapshot_age, manager.is_snapshot_expired()) == (None, True)


def test_bootstrap_loads_all_flags_also_the_disabled_ones(rest: Rest, manager_of: ManagerOf) -> None:
    rest.flag("dark")
    manager = manager_of(rest.server.url)

    manager.bootstrap()

    assert manager.is_ready()
    assert manager.evaluate("new_feature", "user123").variant_key == "on"
    assert manager.evaluate("dark", "user123").reason is Reason.FLAG_DISABLED
    assert manager.evaluate("no_such_flag", "user123").reason is Reason.FLAG_NOT_FOUND
    assert manager.is_enabled("new_feature", "user123")
    assert manager.get_variant("new_feature", "user123") == "on"
    assert set(manager.evaluate_all("user123")) == {"new_feature", "dark"}


def test_batch_answers_in_order_by_key_and_by_id(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url)
    manager.bootstrap()

    results = manager.evaluate_batch(
        [
            EvalRequest(flag_key="no_such_flag", entity_id="u1"),
            EvalRequest(flag_id=1, entity_id="u2", debug=True),
            EvalRequest(entity_id="u3"),
        ]
    )

    assert [result.reason for result in results] == [Reason.FLAG_NOT_FOUND, Reason.MATCH, Reason.FLAG_NOT_FOUND]
    assert results[1].debug_logs


def test_bootstrap_is_done_once_unless_it_is_forced(rest: Rest, manager_of: ManagerOf) -> None:
    http = Recording()
    manager = manager_of(FlagentClient(rest.server.url, http_client=http))

    manager.bootstrap()
    manager.bootstrap()
    assert http.downloads == 1
    manager.bootstrap(force_refresh=True)

    assert http.downloads == 2


def test_with_statement_bootstraps_and_closes(rest: Rest) -> None:
    with OfflineManager(rest.server.url) as manager:
        assert manager.is_enabled("new_feature", "user123")

    assert manager.status.state is State.CLOSED
    assert manager.is_enabled("new_feature", "user123")


def test_connect_is_ready_and_live_in_one_call(rest: Rest) -> None:
    with flagent.connect(f"{rest.server.url}/api/v1/") as flags:
        assert flags.is_realtime_enabled()
        assert flags.status.state is State.LIVE
        assert flags.is_enabled("new_feature", "user123")


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


def test_refresh_brings_what_the_server_has_now(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, auto_refresh=False)
    manager.bootstrap()
    rest.put("/flags/1/enabled", {"enabled": False})

    manager.refresh()

    assert not manager.is_enabled("new_feature", "user123")


def test_cleared_manager_is_not_ready_until_it_is_bootstrapped_again(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, auto_refresh=False)
    manager.bootstrap()

    manager.clear_cache()
    assert not manager.is_ready()
    manager.bootstrap()

    assert manager.is_enabled("new_feature", "user123")


def test_cleared_manager_with_a_stream_gets_its_flags_back(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, auto_refresh=False)
    manager.bootstrap()
    manager.enable_realtime_updates()

    manager.clear_cache()

    until(lambda: manager.is_enabled("new_feature", "user123"))


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


def test_age_of_a_snapshot_that_nothing_refreshes_grows_until_it_is_expired(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, auto_refresh=False, snapshot_ttl=0.05)
    manager.bootstrap()

    until(manager.is_snapshot_expired)

    assert manager.status.state is State.STALE
    assert manager.is_enabled("new_feature", "user123")


def test_closed_manager_says_so(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url)
    manager.bootstrap()
    manager.close()

    with pytest.raises(Closed):
        manager.bootstrap(force_refresh=True)
    with pytest.raises(Closed):
        manager.enable_realtime_updates()
    manager.disable_realtime_updates()
    manager.clear_cache()


def test_stream_that_can_not_be_had_in_time_is_said_and_tried_on(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url)
    manager.bootstrap()

    with pytest.raises(TransportError, match="refused"):
        manager.enable_realtime_updates("http://127.0.0.1:9", timeout=0.3)

    status = manager.status
    assert (manager.is_realtime_enabled(), status.attempt > 0) == (False, True)
    assert isinstance(status.last_error, TransportError)
    assert manager.is_enabled("new_feature", "user123")


@pytest.mark.parametrize("chosen", [{"flag_keys": "new_feature"}, {"flag_ids": 1}], ids=repr)
def test_filter_that_is_no_list_is_refused(manager_of: ManagerOf, chosen: dict[str, Any]) -> None:
    manager = manager_of("http://127.0.0.1:9")

    with pytest.raises(ConfigurationError, match="a list is needed"):
        manager.enable_realtime_updates(**chosen)


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
