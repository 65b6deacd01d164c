"""The manager that lets the server evaluate: many who ask at once, and servers that fail."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from child import exit_code, in_child
from manual_clock import Clock
from raw_server import Connection, RawServer, Request
from rest import Rest
from waiting import in_threads, seconds, until

from flagent import (
    Closed,
    EvalRequest,
    FlagentError,
    HTTPStatusError,
    Manager,
    NotFound,
    Refused,
    TransportError,
)

Start = Callable[[Callable[[Request, Connection], None]], RawServer]
ManagerOf = Callable[..., Manager]
ON = {"flagKey": "a", "variantKey": "on", "variantID": 1, "reason": "MATCH"}
OFF = {"flagKey": "a", "variantKey": None, "reason": "FLAG_DISABLED"}


def test_batch_with_too_few_answers_is_an_error(raw_server: Start, asking: ManagerOf) -> None:
    server = raw_server(lambda _, connection: connection.answer({"evaluationResults": [ON]}))

    with pytest.raises(FlagentError, match="has 1 results, 2 were asked for"):
        asking(server.url).evaluate_batch([EvalRequest(flag_key="a", entity_id=who) for who in "uv"])


def test_threads_that_ask_the_same_at_once_send_one_request(raw_server: Start, asking: ManagerOf) -> None:
    release = threading.Event()

    def answer(_: Request, connection: Connection) -> None:
        release.wait(5)
        connection.answer(ON)

    server = raw_server(answer)
    manager = asking(server.url)
    waiting = in_threads(lambda: manager.evaluate("a", "u", {"b": 1}), 8)
    until(lambda: manager.status.misses == 8)

    release.set()

    results = [each.result(5) for each in waiting]
    assert all(each is results[0] for each in results)
    assert len(server.requests) == manager.status.requests == 1


def test_batches_wait_for_what_others_ask(raw_server: Start, asking: ManagerOf) -> None:
    release = threading.Event()

    def answer(request: Request, connection: Connection) -> None:
        body = json.loads(request.body)
        if request.path.endswith("/batch"):
            connection.answer({"evaluationResults": [{**OFF, "flagKey": key} for key in body["flagKeys"]]})
        else:
            release.wait(5)
            connection.answer(ON)

    server = raw_server(answer)
    manager = asking(server.url)
    alone = in_threads(lambda: manager.evaluate("a", "u"), 1)
    until(lambda: len(server.requests) == 1)
    batch = in_threads(lambda: manager.evaluate_batch([EvalRequest(flag_key=key, entity_id="u") for key in "abc"]), 1)
    until(lambda: len(server.requests) == 2)

    release.set()

    assert [each.reason for each in batch[0].result(5)] == ["MATCH", "FLAG_DISABLED", "FLAG_DISABLED"]
    assert batch[0].result(5)[0] is alone[0].result(5)
    assert json.loads(server.requests[1].body)["flagKeys"] == ["b", "c"]


def test_failure_is_shared_by_those_who_wait_and_kept_for_nobody(raw_server: Start, asking: ManagerOf) -> None:
    release = threading.Event()
    statuses = iter([500, 200])

    def answer(_: Request, connection: Connection) -> None:
        release.wait(5)
        connection.answer(ON, next(statuses))

    server = raw_server(answer)
    manager = asking(server.url)
    waiting = in_threads(lambda: manager.evaluate("a", "u"), 3)
    until(lambda: manager.status.misses == 3)
    release.set()

    assert [type(each.exception(5)) for each in waiting] == [HTTPStatusError] * 3
    assert isinstance(manager.status.last_error, HTTPStatusError)
    assert manager.is_enabled("a", "u")
    status = manager.status
    assert (status.errors, status.last_error, len(server.requests)) == (1, None, 2)


def test_answer_that_is_an_error_is_not_kept(raw_server: Start, asking: ManagerOf) -> None:
    answers = iter([{**OFF, "reason": "ERROR"}, ON])
    server = raw_server(lambda _, connection: connection.answer(next(answers)))
    manager = asking(server.url)

    assert [manager.evaluate("a", "u").reason for _ in range(3)] == ["ERROR", "MATCH", "MATCH"]


def test_answer_that_was_asked_for_before_the_cache_was_cleared_is_not_kept(
    raw_server: Start, asking: ManagerOf
) -> None:
    release = threading.Event()
    answers = iter([ON, OFF])

    def answer(_: Request, connection: Connection) -> None:
        said = next(answers)
        if said is ON:
            release.wait(5)
        connection.answer(said)

    server = raw_server(answer)
    manager = asking(server.url)
    early = in_threads(lambda: manager.is_enabled("a", "u"), 1)
    until(lambda: len(server.requests) == 1)

    manager.clear_cache()

    assert not manager.is_enabled("a", "u")
    release.set()
    assert early[0].result(5)
    assert not manager.is_enabled("a", "u")
    assert manager.status.requests == 2


def test_older_answer_stands_in_while_the_server_is_away(rest: Rest, asking: ManagerOf, clock: Clock) -> None:
    manager = asking(rest.server.url, cache_ttl=60, stale_if_error=300)
    fresh = manager.evaluate("new_feature", "u1")
    rest.server.stop()
    clock.now += 359

    assert manager.evaluate("new_feature", "u1") is fresh
    with pytest.raises(TransportError):
        manager.evaluate("new_feature", "u2")
    with pytest.raises(TransportError):
        manager.evaluate_batch([EvalRequest(flag_key="new_feature", entity_id=who) for who in ("u1", "u2")])
    assert manager.status.stale == 2
    clock.now += 1
    with pytest.raises(TransportError):
        manager.evaluate("new_feature", "u1")
    assert isinstance(manager.status.last_error, TransportError)


@pytest.mark.parametrize(
    ("status", "body", "raised"),
    [(500, b"", None), (502, b"<html>", None), (503, b"", None), (429, b"", None), (200, b"<html>", None),
     (401, b"", Refused), (403, b"", Refused), (404, b"", NotFound), (400, b"", HTTPStatusError)],
    ids=str,
)  # fmt: skip
def test_only_failures_that_pass_are_bridged(
    raw_server: Start, asking: ManagerOf, clock: Clock, status: int, body: bytes, raised: type[Exception] | None
) -> None:
    answers = iter([(ON, 200), (body, status)])
    server = raw_server(lambda _, connection: connection.answer(*next(answers)))
    manager = asking(server.url)
    manager.evaluate("a", "u")
    clock.now += 61

    if raised is None:
        assert manager.is_enabled("a", "u")
    else:
        with pytest.raises(raised):
            manager.evaluate("a", "u")
    assert (manager.status.errors, manager.status.stale) == (1, int(raised is None))


def test_failing_server_is_left_alone_for_a_while(raw_server: Start, asking: ManagerOf, clock: Clock) -> None:
    answers: Iterator[tuple[Any, int, dict[str, str]]] = iter(
        [(ON, 200, {}), (b"", 500, {}), (b"", 503, {"Retry_After": "7"}), (OFF, 200, {})]
    )

    def answer(_: Request, connection: Connection) -> None:
        body, status, headers = next(answers)
        connection.answer(body, status, **headers)

    server = raw_server(answer)
    manager = asking(server.url, cache_ttl=10, retry_delay=1)
    said = []
    for wait in (0, 10, 0.9, 0.1, 6.9, 0.1, 0):
        clock.now += wait
        said.append((manager.is_enabled("a", "u"), len(server.requests)))

    assert said == [(True, 1), (True, 2), (True, 2), (True, 3), (True, 3), (False, 4), (False, 4)]
    assert (manager.status.stale, manager.status.errors, manager.status.last_error) == (4, 2, None)


def test_nobody_with_an_older_answer_waits_for_a_server_that_fails(
    raw_server: Start, asking: ManagerOf, clock: Clock
) -> None:
    answers: Iterator[Callable[[Connection], None]] = iter(
        [lambda one: one.answer(ON), lambda one: one.answer(b"", 500), lambda one: one.hang()]
    )
    server = raw_server(lambda _, connection: next(answers)(connection))
    manager = asking(server.url, cache_ttl=10, timeout=1.0)
    manager.evaluate("a", "u")
    clock.now += 10
    manager.evaluate("a", "u")
    clock.now += 1
    prober = in_threads(lambda: manager.is_enabled("a", "u"), 1)
    until(lambda: len(server.requests) == 3)

    assert seconds(lambda: manager.evaluate("a", "u")) < 0.5
    clock.now += 2
    assert seconds(lambda: manager.evaluate("a", "u")) < 0.5
    assert prober[0].result(5)


def test_server_that_says_nothing_is_a_timeout_for_all_who_wait(raw_server: Start, asking: ManagerOf) -> None:
    server = raw_server(lambda _, connection: connection.hang())
    manager = asking(server.url, timeout=0.3)

    waiting = in_threads(lambda: manager.evaluate("a", "u"), 3)

    assert {getattr(each.exception(5), "kind", None) for each in waiting} == {"timeout"}


def test_closing_ends_those_who_wait(raw_server: Start, asking: ManagerOf) -> None:
    server = raw_server(lambda _, connection: connection.hang())
    manager = asking(server.url)
    waiting = in_threads(lambda: manager.evaluate("a", "u"), 3)
    until(lambda: manager.status.misses == 3 and server.requests)

    assert seconds(manager.close) < 2

    assert [type(each.exception(2)) for each in waiting] == [Closed] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_has_the_answers_and_asks_for_itself(raw_server: Start, asking: ManagerOf) -> None:
    release = threading.Event()

    def answer(request: Request, connection: Connection) -> None:
        who = json.loads(request.body)["entityID"]
        if who == "slow" and len(server.requests) == 2:
            release.wait(10)
        connection.answer({**ON, "evalContext": {"entityID": who}})

    server = raw_server(answer)
    manager = asking(server.url)
    kept = manager.evaluate("a", "u")
    slow = in_threads(lambda: manager.evaluate("a", "slow"), 1)
    until(lambda: len(server.requests) == 2)

    def work() -> None:
        assert manager.evaluate("a", "u") == kept
        # The parent's thread is asking this, but nobody in the child is.
        assert manager.evaluate("a", "slow").entity_id == "slow"
        manager.close()

    assert exit_code(in_child(work)) == 0
    assert len(server.requests) == 3
    release.set()
    assert slow[0].result(5).entity_id == "slow"
    assert manager.evaluate("a", "new").entity_id == "new"
