"""How long to wait, with chance and time given."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagent.wire.backoff import MAX_ASKED, MIN_ASKED, SLOW_BASE, SLOW_CAP, Backoff, parse_retry_after

NOON = 1_767_225_600.0  # 2026-01-01T00:00:00Z
#: The largest number that `random` returns.
NEARLY_ONE = 1 - 2**-53
#: Failures that are an hour apart: the trouble lasts for so long that it bounds nothing.
NOWS = count(0, 3600)


def backoff(chance: float = NEARLY_ONE, *, base_delay: float = 1.0) -> Backoff:
    return Backoff(base_delay=base_delay, max_delay=30.0, stable_after=60.0, random=lambda: chance)


def test_the_upper_bound_doubles_up_to_the_cap() -> None:
    waits = backoff()

    assert [round(waits.next_delay(next(NOWS)), 6) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_nobody_waits_for_longer_than_the_trouble_has_lasted() -> None:
    """So that those who drew short waits while a server restarted are not the last to come back."""
    waits = backoff()

    found = [round(waits.next_delay(now), 6) for now in (100.0, 100.2, 100.7, 101.5, 104.0, 140.0, 200.0)]

    assert found == [1, 1, 1, 1.5, 4, 30, 30]


def test_new_trouble_begins_anew() -> None:
    waits = backoff()
    waits.next_delay(0.0)
    waits.next_delay(100.0)
    waits.healthy_for(60.0)

    assert [waits.next_delay(now) for now in (200.0, 200.0)] == pytest.approx([1, 1])


def test_the_wait_is_anything_from_nothing_to_the_bound() -> None:
    waits = backoff(0.0)

    assert [waits.next_delay(next(NOWS)) for _ in range(3)] == [0, 0, 0]


def test_a_day_of_failures_overflows_nothing() -> None:
    waits = backoff()

    assert max(waits.next_delay(next(NOWS)) for _ in range(100_000)) <= 30


def test_a_connection_that_was_short_does_not_clear_the_count() -> None:
    waits = backoff()
    for _ in range(3):
        waits.next_delay(next(NOWS))

    waits.healthy_for(59.9)

    assert waits.next_delay(next(NOWS)) == pytest.approx(8)


def test_a_minute_of_health_clears_the_count() -> None:
    waits = backoff()
    for _ in range(3):
        waits.next_delay(next(NOWS))

    waits.healthy_for(60.0)

    assert waits.next_delay(next(NOWS)) == pytest.approx(1)
    assert waits.failures == 1


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 40))
def test_the_slow_regime_waits_one_to_fifteen_minutes(chance: float, failures: int) -> None:
    waits = backoff(chance)
    for _ in range(failures):
        waits.next_delay(next(NOWS), slow=True)

    assert SLOW_BASE <= waits.next_delay(next(NOWS), slow=True) <= SLOW_CAP


def test_the_slow_regime_asks_ever_more_seldom() -> None:
    waits = backoff()

    assert [round(waits.next_delay(next(NOWS), slow=True)) for _ in range(5)] == [120, 240, 480, 900, 900]


def test_each_regime_begins_at_its_own_base() -> None:
    waits = backoff()
    for _ in range(5):
        waits.next_delay(next(NOWS))

    assert waits.next_delay(next(NOWS), slow=True) == pytest.approx(120)
    assert waits.next_delay(next(NOWS)) == pytest.approx(1)


def test_what_the_server_asks_for_is_the_least() -> None:
    assert backoff(0.0).next_delay(next(NOWS), asked=7.0) == 7.0


@pytest.mark.covers("F21", "I9")
def test_clients_that_were_asked_for_the_same_wait_do_not_come_back_together() -> None:
    assert backoff(0.5).next_delay(next(NOWS), asked=100.0) == pytest.approx(105)


@pytest.mark.covers("F21", "I9")
@pytest.mark.parametrize(("asked", "wait"), [(1e9, MAX_ASKED), (0.0, MIN_ASKED), (-5.0, MIN_ASKED)])
def test_what_the_server_asks_for_has_bounds(asked: float, wait: float) -> None:
    assert backoff(0.0).next_delay(next(NOWS), asked=asked) == wait


def test_a_base_that_the_server_set_stays() -> None:
    waits = backoff()

    assert [round(waits.next_delay(next(NOWS), base_delay=base), 6) for base in (5.0, None)] == [5, 10]


@pytest.mark.covers("F35")
@pytest.mark.parametrize(("base", "first"), [(0.0, MIN_ASKED), (1e9, 30.0)])
def test_a_base_that_the_server_set_has_bounds(base: float, first: float) -> None:
    assert backoff().next_delay(next(NOWS), base_delay=base) == pytest.approx(first)


@pytest.mark.covers("F21")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("9" * 5000, MAX_ASKED),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Thursday, 01-Jan-26 00:00:30 GMT", 30.0),
        ("Thu Jan  1 00:00:30 2026", 30.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0.0),
        ("Fri, 01 Jan 2027 00:00:00 GMT", MAX_ASKED),
        ("Thu, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Thu, 01 Jan 2026 99999999999999999999:00:00 GMT", None),
        ("Thu, 01 Jan 2026 00:00:00 +99999999999999999999", None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOON) == seconds


@given(st.text(max_size=40) | st.from_regex(r"Thu, \d+ Jan \d+ \d+:\d+:\d+ [+-]?\d*", fullmatch=True))
def test_retry_after_never_raises(value: str) -> None:
    seconds = parse_retry_after(value, NOON)

    assert seconds is None or 0 <= seconds <= MAX_ASKED
