"""The manager that lets the server evaluate: what it asks, and what it keeps."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from live import LiveServer
from manual_clock import Clock
from raw_server import Connection, RawServer, Request
from rest import Rest

from flagent import (
    Closed,
    ConfigurationError,
    EvalRequest,
    FlagentClient,
    Manager,
    ManagerConfig,
    OfflineManager,
    Reason,
    TransportError,
)

Start = Callable[[Callable[[Request, Connection], None]], RawServer]
ManagerOf = Callable[..., Manager]
ON = {"flagKey": "a", "variantKey": "on", "variantID": 1, "reason": "MATCH"}


def test_same_question_is_asked_once_until_its_answer_is_too_old(rest: Rest, asking: ManagerOf, clock: Clock) -> None:
    manager = asking(rest.server.url, cache_ttl=60)
    context = {"region": "EU", "plan": {"name": "pro", "seats": [1, 2]}}
    first = manager.evaluate("new_feature", "user123", context)
    rest.put("/flags/1/enabled", {"enabled": False})
    clock.now += 59

    again = manager.evaluate("new_feature", "user123", {"plan": {"seats": [1, 2], "name": "pro"}, "region": "EU"})
    clock.now += 1
    later = manager.evaluate("new_feature", "user123", context)

    assert (first.variant_key, first.reason, first.entity_id) == ("on", Reason.MATCH, "user123")
    assert again is first
    assert later.reason is Reason.FLAG_DISABLED
    status = manager.status
    assert (status.hits, status.misses, status.requests, status.cached) == (1, 2, 2, 1)
    assert (status.errors, status.stale, status.last_error) == (0, 0, None)


def test_short_forms_share_the_answer(rest: Rest, asking: ManagerOf) -> None:
    manager = asking(rest.server.url)

    assert manager.is_enabled("new_feature", "user123", {})
    assert manager.get_variant("new_feature", "user123") == "on"
    assert not manager.is_enabled("no_such_flag", "user123")
    assert manager.evaluate("no_such_flag", "user123").reason is Reason.FLAG_NOT_FOUND
    assert manager.status.requests == 2


def test_anything_that_may_matter_makes_another_question(rest: Rest, asking: ManagerOf) -> None:
    manager = asking(rest.server.url)

    for context in ({"a": 1}, {"a": True}, {"a": "1"}, {"a": None}, {"a": [1]}, {"a": {"b": 1}}, {"b": 1}, None):
        manager.evaluate("new_feature", "user123", context)
    manager.evaluate("new_feature", "user124")
    manager.evaluate("other", "user123")
    manager.evaluate("new_feature", "user123", entity_type="device")
    debugged = manager.evaluate("new_feature", "user123", debug=True)

    assert debugged.debug_logs
    assert (manager.status.hits, manager.status.requests) == (0, 12)


def test_cleared_cache_asks_again(rest: Rest, asking: ManagerOf) -> None:
    manager = asking(rest.server.url)
    manager.evaluate("new_feature", "user123")
    rest.put("/flags/1/enabled", {"enabled": False})

    manager.clear_cache()

    assert manager.status.cached == 0
    assert not manager.is_enabled("new_feature", "user123")


def test_cache_keeps_the_answers_that_were_used_last(rest: Rest, asking: ManagerOf) -> None:
    manager = asking(rest.server.url, max_cached=2)

    for who in ("u1", "u2", "u1", "u3", "u1", "u2"):
        manager.evaluate("new_feature", who)

    assert (manager.status.hits, manager.status.cached) == (2, 2)


def test_batch_asks_once_for_what_is_not_kept(rest: Rest, asking: ManagerOf) -> None:
    rest.flag("dark")
    manager = asking(rest.server.url)
    kept = manager.evaluate("new_feature", "u1")

    results = manager.evaluate_batch(
        [
            EvalRequest(flag_key="dark", entity_id="u2", entity_context={"region": "EU"}),
            EvalRequest(flag_key="new_feature", entity_id="u1"),
            EvalRequest(flag_id=1, entity_id="u2", entity_type="device"),
            EvalRequest(flag_key="new_feature", entity_id="u2"),
            EvalRequest(flag_key="new_feature", entity_id="u2"),
            EvalRequest(flag_key="no_such_flag", entity_id="u3"),
            EvalRequest(flag_key="new_feature", entity_id="u4", entity_context=[1]),  # type: ignore[arg-type]
        ]
    )

    assert [each.reason for each in results] == ["FLAG_DISABLED", "MATCH", "MATCH", "MATCH", "MATCH",
                                                 "FLAG_NOT_FOUND", "ERROR"]  # fmt: skip
    assert [each.entity_id for each in results] == ["u2", "u1", "u2", "u2", "u2", "u3", "u4"]
    assert results[1] is kept
    assert (manager.status.requests, manager.status.hits) == (2, 1)
    assert manager.evaluate("dark", "u2", {"region": "EU"}) is results[0]
    assert manager.evaluate_batch([]) == []


def test_debugged_questions_of_a_batch_are_a_request_of_their_own(rest: Rest, asking: ManagerOf) -> None:
    manager = asking(rest.server.url)

    plain, debugged = manager.evaluate_batch(
        [EvalRequest(flag_id=1, entity_id="u", debug=debug) for debug in (False, True)]
    )

    assert (plain.debug_logs, bool(debugged.debug_logs)) == ((), True)
    assert manager.status.requests == 2


def test_very_large_batches_are_a_few_requests_within_the_servers_limits(rest: Rest, asking: ManagerOf) -> None:
    manager = asking(rest.server.url)
    many = [EvalRequest(flag_key="new_feature", entity_id=f"u{number}") for number in range(1100)]
    different = [EvalRequest(flag_key=f"f{number}", entity_id=f"v{number}") for number in range(150)]
    flags = [EvalRequest(flag_key=f"g{number}", entity_id="w") for number in range(1100)]

    results = manager.evaluate_batch([*many, *different, *flags])

    assert [each.entity_id for each in results[:1250]] == [each.entity_id for each in [*many, *different]]
    assert [each.flag_key for each in results[1100:]] == [each.flag_key for each in [*different, *flags]]
    assert {each.reason for each in results[:1100]} == {Reason.MATCH}
    assert manager.status.requests <= 6
    assert manager.status.cached == 2350


CONDITIONS = {
    "EQ": "1",
    "NEQ": "1",
    "LT": "2",
    "CONTAINS": "1",
    "NOTIN": "NaN,b'ab'",
    "IN": "NaN,Infinity,1.5,1180591620717411303424,b'ab'",
    "EREG": "^0000",
}


@pytest.mark.parametrize(
    "value",
    [1, True, "1", 1.0, 1.5, math.nan, math.inf, -math.inf, 2**70, None, [1, "2"], (1,), {1}, {"a": 1},
     uuid.UUID(int=1), b"ab", 10**5000],
    ids=lambda value: f"{type(value).__name__} {value}" if value != 10**5000 else "huge",
)  # fmt: skip
def test_odd_values_are_evaluated_as_in_the_offline_manager(live_server: LiveServer, value: Any) -> None:
    with FlagentClient(live_server.url) as client:
        for operator, operand in CONDITIONS.items():
            flag = client.create_flag(operator, template="simple_boolean_flag")
            client.create_constraint(flag.id, flag.segments[0].id, "p", operator, operand)
            client.set_flag_enabled(flag.id, True)
    with OfflineManager(live_server.url) as local:
        expected = local.evaluate_all("u", {"p": value})
    asked = [EvalRequest(flag_key=key, entity_id="u", entity_context={"p": value}) for key in expected]

    with Manager(live_server.url) as manager:
        answers, again = manager.evaluate_batch(asked), manager.evaluate_batch(asked)
        hits = manager.status.hits

    assert {each.flag_key: each.reason for each in answers} == {key: each.reason for key, each in expected.items()}
    assert (again, hits) == (answers, len(CONDITIONS))


@pytest.mark.parametrize("context", [["a"], "text", {"a": "\ud800"}], ids=["list", "text", "no unicode"])
def test_context_that_can_not_be_sent_is_an_error_result_without_a_request(asking: ManagerOf, context: Any) -> None:
    manager = asking("http://127.0.0.1:9")

    result = manager.evaluate("new_feature", "u", context)

    assert (result.reason, result.flag_key, result.entity_id) == (Reason.ERROR, "new_feature", "u")
    assert "can't be sent" in result.message
    assert manager.status.requests == 0


@pytest.mark.parametrize("who", ["", "  ", None], ids=["empty", "blank", "none"])
def test_entity_without_id_is_another_each_time(rest: Rest, asking: ManagerOf, who: Any) -> None:
    manager = asking(rest.server.url)

    one, other = manager.evaluate("new_feature", who), manager.evaluate("new_feature", who)
    batch = manager.evaluate_batch([EvalRequest(flag_id=1, entity_id=who), EvalRequest(flag_id=1, entity_id=who)])

    assert len({each.entity_id for each in (one, other, *batch)}) == 4
    assert (manager.status.requests, manager.status.cached) == (3, 0)


def test_manager_has_settings_of_the_client_and_connections_of_its_own(raw_server: Start, asking: ManagerOf) -> None:
    server = raw_server(lambda _, connection: connection.answer(ON))
    client = FlagentClient(f"{server.url}/api/v1", "the-key")
    client.close()

    with Manager(client, ManagerConfig(timeout=3)) as manager:
        assert manager.is_enabled("a", "u")
        assert repr(manager) == f"<Manager of {server.url}>"

    assert server.requests[0].headers["authorization"] == "Bearer the-key"


def test_closed_manager_answers_nothing(rest: Rest, asking: ManagerOf) -> None:
    manager = asking(rest.server.url)
    manager.evaluate("new_feature", "u")

    manager.close()
    manager.close()

    with pytest.raises(Closed):
        manager.evaluate("new_feature", "u")
    with pytest.raises(Closed):
        manager.evaluate("new_feature", "u", [])  # type: ignore[arg-type]
    with pytest.raises(Closed):
        manager.evaluate_batch([])


@pytest.mark.parametrize(
    ("name", "value"),
    [("cache_ttl", -1), ("cache_ttl", math.inf), ("cache_ttl", "60"), ("max_cached", -1), ("max_cached", 1.5),
     ("max_cached", True), ("stale_if_error", -1), ("stale_if_error", math.nan), ("retry_delay", -1), ("timeout", 0),
     ("timeout", True)],
)  # fmt: skip
def test_value_that_can_not_be_used_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        ManagerConfig(**{name: value})


def test_configuration_of_zeros_asks_each_time(rest: Rest, asking: ManagerOf) -> None:
    manager = asking(rest.server.url, cache_ttl=0, max_cached=0, stale_if_error=0, retry_delay=0)

    manager.evaluate("new_feature", "u")
    manager.evaluate("new_feature", "u")

    assert (manager.status.requests, manager.status.cached) == (2, 0)
    rest.server.stop()
    with pytest.raises(TransportError):
        manager.evaluate("new_feature", "u")
