"""The manager against a live server: load, evaluate, refresh, clear."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from rest import Rest
from sdk_parts import ManagerOf, Recording
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
)


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


@pytest.mark.parametrize("chosen", [{"flag_keys": "new_feature"}, {"flag_ids": 1}], ids=repr)
def test_filter_that_is_no_list_is_refused(manager_of: ManagerOf, chosen: dict[str, Any]) -> None:
    manager = manager_of("http://127.0.0.1:9")

    with pytest.raises(ConfigurationError, match="a list is needed"):
        manager.enable_realtime_updates(**chosen)
