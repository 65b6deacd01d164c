"""How long a follower waits after a connection, by what ended it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stream_bytes
from change_log import EPOCH, Log, flag
from feeds import HEARTBEAT, HELLO, TYPE, live_feed, new_feed, opening

from flagent.core.changes import EventType
from flagent.errors import HTTPStatusError, Refused, StreamBroken
from flagent.wire import sse
from flagent.wire.feed import Feed


@pytest.mark.covers("F22", "F24")
@pytest.mark.parametrize("status", [204, 401, 403, 404, 410])
def test_a_refusal_is_asked_about_again_after_one_to_fifteen_minutes(status: int) -> None:
    feed = new_feed(chance=0.0)

    error = opening(feed, status)

    assert isinstance(error, Refused)
    assert error.status == status
    assert feed.closed(0.0, error) == 60
    assert [feed.closed(0.0, error) for _ in range(9)][-1] == 900


@pytest.mark.covers("F23", "I9")
@pytest.mark.parametrize("chance", [0.0, 0.5, 1 - 2**-53])
def test_a_refusal_that_lasts_a_day_is_asked_about_in_every_hour_and_seldom(chance: float) -> None:
    feed = new_feed(chance=chance)
    now, attempts = 0.0, [0] * 24

    while now < 24 * 3600:
        attempts[int(now // 3600)] += 1
        now += feed.closed(now, opening(feed, 401))

    assert set(attempts[1:]) == {4}
    # Waits grow from one to fifteen minutes.
    assert attempts[0] <= 9


@pytest.mark.covers("F21")
@pytest.mark.parametrize("status", [400, 408, 425, 429, 500, 502, 503, 504])
def test_any_other_failure_is_retried_soon(status: int) -> None:
    feed = new_feed()

    error = opening(feed, status)

    assert isinstance(error, HTTPStatusError)
    assert not isinstance(error, Refused)
    assert feed.closed(0.0, error) == pytest.approx(1)


@pytest.mark.covers("F21")
def test_retry_after_is_obeyed() -> None:
    feed = new_feed(chance=0.0)

    error = opening(feed, 503, retry_after=17.0)

    assert feed.closed(0.0, error) == 17


def test_goodbye_ends_the_stream_after_what_came_before_it() -> None:
    log = Log(flag(1, "a"))
    feed = new_feed(log.snapshot.cursor, chance=0.0)
    feed.opened(200, TYPE, 0.0)
    hello = stream_bytes.connected(log.snapshot, "changes")
    change = log.put(flag(2, "b"), EventType.FLAG_CREATED)

    updates = feed.received(hello + stream_bytes.change(change, EPOCH) + stream_bytes.goodbye("drain", 4200), 0.0)

    assert updates == [change]
    assert isinstance(feed.failure, StreamBroken)
    assert feed.closed(0.0, feed.failure) == 4.2


@pytest.mark.parametrize(
    ("asked_ms", "wait"),
    [(10**9, 300.0), (10**400, 300.0), (-(10**400), 0.05)],
    ids=["long", "endless", "negative"],
)
def test_what_goodbye_asks_for_is_bounded(asked_ms: int, wait: float) -> None:
    feed = new_feed(chance=0.0)
    feed.opened(200, TYPE, 0.0)

    feed.received(HELLO + b'event: goodbye\ndata: {"reason":"drain","reconnectAfterMs":%d}\n\n' % asked_ms, 0.0)

    assert feed.closed(0.0, feed.failure) == wait


def test_goodbye_counts_for_one_connection_only() -> None:
    feed = live_feed()
    feed.received(stream_bytes.goodbye("drain", 200_000), 0.0)
    feed.closed(0.0, feed.failure)

    feed.opened(200, TYPE, 3.0)

    assert feed.failure is None
    assert feed.closed(3.0) == pytest.approx(2)


@pytest.mark.covers("F35")
@pytest.mark.parametrize(("retry", "wait"), [(5000, 5.0), (0, 0.05), (10**9, 30.0)])
def test_the_streams_retry_sets_the_base_within_bounds(retry: int, wait: float) -> None:
    feed = new_feed()
    feed.opened(200, TYPE, 0.0)

    feed.received(sse.retry(retry) + HELLO, 0.0)

    assert feed.closed(1.0) == pytest.approx(wait)


@pytest.mark.covers("F07", "I9")
def test_connecting_does_not_clear_the_backoff() -> None:
    feed = new_feed()

    waits = [wait for now in range(0, 400, 100) for wait in closing_each(feed, float(now))]

    assert waits == pytest.approx([1, 2, 4, 8])
    assert feed.attempt == 4


def closing_each(feed: Feed, now: float) -> Iterator[float]:
    feed.opened(200, TYPE, now)
    feed.received(HELLO, now)
    yield feed.closed(now)


def test_a_minute_of_health_clears_the_backoff() -> None:
    feed = new_feed()
    for _ in range(3):
        feed.closed(0.0)
    feed.opened(200, TYPE, 0.0)
    feed.received(HELLO, 0.0)
    feed.received(HEARTBEAT, 30.0)
    feed.received(HEARTBEAT, 60.0)

    assert feed.closed(61.0) == pytest.approx(1)


def test_silence_is_no_health() -> None:
    feed = new_feed()
    for _ in range(3):
        feed.closed(0.0)
    feed.opened(200, TYPE, 0.0)
    feed.received(HELLO, 0.0)
    feed.received(HEARTBEAT, 30.0)

    assert feed.closed(67.5) == pytest.approx(8)


def test_a_stream_that_was_open_but_never_live_was_not_well() -> None:
    feed = new_feed()
    for _ in range(3):
        feed.closed(0.0)
    feed.opened(200, TYPE, 0.0)

    assert feed.closed(100.0) == pytest.approx(8)


def dismissed(feed: Feed, opened_at: float, ended_at: float) -> float:
    """Open a stream, let it end with a goodbye, and return the wait after it."""
    feed.opened(200, TYPE, opened_at)
    feed.received(HELLO, opened_at)
    feed.received(stream_bytes.goodbye("max_age", 0), ended_at)
    return feed.closed(ended_at, feed.failure)


def test_streams_that_are_sent_elsewhere_when_they_are_old_enough_are_no_trouble() -> None:
    feed = new_feed()

    waits = [dismissed(feed, 50.0 * number, 50.0 * number + 49.0) for number in range(20)]

    # However often it happens, and although none lived as long as a stream has to for its failures to be forgotten.
    assert waits == pytest.approx([1.0] * 20)


def test_a_server_that_does_nothing_but_say_goodbye_is_asked_less_and_less() -> None:
    feed = new_feed()

    waits = [dismissed(feed, 10.0 * number, 10.0 * number + 0.1) for number in range(6)]

    assert waits[-1] == pytest.approx(30.0, rel=0.2)
