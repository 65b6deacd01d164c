"""How often a caller may ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagent.server.rate import RateLimit


def test_two_seconds_worth_may_come_at_once_and_then_one_per_interval() -> None:
    limit = RateLimit(8.0)

    waits = [limit.wait("a", 100.0) for _ in range(17)]

    assert waits == [0.0] * 16 + [0.125]
    assert limit.wait("a", 100.125) == 0.0
    assert limit.wait("a", 100.125) > 0


@pytest.mark.covers("F61")
def test_one_caller_does_not_use_up_what_another_may() -> None:
    limit = RateLimit(1.0)
    for _ in range(10):
        limit.wait("a", 0.0)

    assert limit.wait("b", 0.0) == 0.0


def test_no_limit_lets_everything_pass() -> None:
    limit = RateLimit(0.0)

    assert {limit.wait("a", 0.0) for _ in range(1000)} == {0.0}


@given(gaps=st.lists(st.floats(0, 3, allow_nan=False), min_size=1, max_size=200), rate=st.floats(0.5, 50))
@pytest.mark.covers("F61")
def test_never_more_than_the_rate_and_one_burst_pass(gaps: list[float], rate: float) -> None:
    limit, now, passed = RateLimit(rate), 0.0, 0
    for gap in gaps:
        now += gap
        passed += limit.wait("a", now) == 0.0

    assert passed <= now * rate + max(1.0, 2 * rate) + 1e-6


def test_what_a_caller_spends_elsewhere_counts_here() -> None:
    limit = RateLimit(4.0)

    limit.spend("a", 6, 0.0)

    assert [limit.wait("a", 0.0) for _ in range(3)] == [0.0, 0.0, 0.25]
    assert limit.wait("b", 0.0) == 0.0


def test_more_than_was_allowed_elsewhere_is_waited_for_in_bounds() -> None:
    limit = RateLimit(4.0)

    limit.spend("a", 1_000_000, 0.0)

    assert limit.wait("a", 0.0) == 2.25


@pytest.mark.covers("F61", "I7")
def test_memory_is_bounded() -> None:
    limit = RateLimit(1.0)
    for caller in range(20_000):
        limit.wait(caller, 0.0)

    assert len(limit._buckets) <= 10_000
