"""Too many clients at once: as many as may are let in, and the others are told when to come back."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import LiveServer
from sse_messages import Subscriber

from flagent import OfflineConfig, OfflineManager
from flagent.server.admission import MAX_WAIT, Admission
from flagent.wire.backoff import Backoff

Start = Callable[..., LiveServer]


def test_two_seconds_worth_may_come_at_once_and_the_rest_one_after_the_other() -> None:
    admission = Admission(10.0)

    waits = [admission.wait(100.0) for _ in range(25)]

    assert waits[:20] == [0.0] * 20
    assert waits[20:] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert admission.refused == 5


def test_without_a_rate_everybody_is_let_in() -> None:
    admission = Admission(0.0)

    assert {admission.wait(0.0) for _ in range(1000)} == {0.0}


def test_nobody_is_asked_to_wait_for_longer_than_clients_do() -> None:
    admission = Admission(1.0)

    assert max(admission.wait(0.0) for _ in range(1000)) == MAX_WAIT


def come_back(count: int, rate: float, seed: int) -> tuple[Counter[int], float, int]:
    """Let clients come within a second, and again as they are told, until all are in.

    Returns:
        How many were let in in each second, when the last one was, and the most tries that anybody needed.
    """
    chance = random.Random(seed)
    admission, opened, last, most = Admission(rate), Counter[int](), 0.0, 0
    waiting = [(chance.random(), number, 1) for number in range(count)]
    waits = [Backoff(base_delay=1.0, max_delay=30.0, stable_after=60.0, random=chance.random) for _ in range(count)]
    heapq.heapify(waiting)
    while waiting:
        now, number, tries = heapq.heappop(waiting)
        wait = admission.wait(now)
        if wait == 0.0:
            opened[int(now)] += 1
            last, most = now, max(most, tries)
        else:
            # As `Retry-After` says it, and as the SDK obeys it.
            again = now + waits[number].next_delay(now, asked=float(ceil(wait)))
            heapq.heappush(waiting, (again, number, tries + 1))
    return opened, last, most


@pytest.mark.covers("F60", "G6", "I9")
@settings(max_examples=6, deadline=None)
@given(rate=st.sampled_from([200.0, 500.0, 1000.0]), seed=st.integers(0, 1000))
def test_ten_thousand_in_a_second_are_all_in_about_as_soon_as_the_rate_allows(rate: float, seed: int) -> None:
    opened, last, most = come_back(10_000, rate, seed)

    # Never more than the rate and what may come at once.
    assert max(opened.values()) <= 3 * rate
    assert all(sum(opened[each] for each in range(end + 1)) <= (end + 3) * rate for end in range(int(last) + 1))
    # At the rate it takes 10,000 / rate seconds; waits are whole seconds, and a tenth longer at most.
    assert last <= 2 * 10_000 / rate + 30
    assert most <= 6


@pytest.mark.covers("F60", "F61")
def test_those_who_come_too_early_are_told_when_to_come_back(start_server: Start) -> None:
    server = start_server(open_rate=10.0)
    with ExitStack() as stack:
        streams = [stack.enter_context(Subscriber(server.port)) for _ in range(60)]
        opened = [stream for stream in streams if stream.status == 200]
        refused = [stream for stream in streams if stream.status == 503]

        assert len(opened) + len(refused) == 60
        assert 20 <= len(opened) <= 40
        assert {stream.headers["content-type"] for stream in refused} == {"application/json"}
        assert len({stream.headers["retry-after"] for stream in refused}) > 1
        # Who is in is served as ever, and what needs no stream is answered.
        server.create_flag("a")
        for stream in opened:
            assert stream.next("flag.created").data["flagKey"] == "a"
    refusals = f"flagent_streams_refused {len(refused)}.0"
    assert refusals in server.services.metrics.text().decode()


@pytest.mark.covers("F60", "G6", "G10")
def test_an_sdk_that_comes_too_early_is_live_as_soon_as_it_may_be(start_server: Start) -> None:
    server = start_server(open_rate=1.0)
    server.create_flag("a", enabled=True)
    with ExitStack() as stack:
        managers = [stack.enter_context(OfflineManager(server.url, OfflineConfig())) for _ in range(4)]
        for manager in managers:
            manager.enable_realtime_updates(timeout=0)

        # Two at once, and one a second.
        assert all(manager.wait_until_ready(10.0, live=True) for manager in managers)
