"""For which moment a stream vouches that what its follower holds is current: at which it was made, or at least came."""

from __future__ import annotations

import pytest
import stream_bytes
from change_log import EPOCH, Log, flag
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from flagent.wire.feed import MISSED_HEARTBEATS, Feed

LOG = Log(flag(1, "a"), revision=5)
FIRST = LOG.snapshot
CHANGE = LOG.put(flag(2, "b"))
SECOND = LOG.snapshot


def greeted(at: float = 1.0) -> Feed:
    feed = Feed(FIRST.cursor, random=lambda: 0.5)
    feed.opened(200, "text/event-stream", 0.0)
    feed.received(stream_bytes.connected(FIRST, "current"), at)
    return feed


@pytest.mark.covers("G5", "I5")
def test_a_greeting_a_change_and_a_heartbeat_vouch_for_their_moments() -> None:
    feed = greeted(1.0)
    vouched = [feed.vouched_at]
    feed.received(stream_bytes.change(CHANGE, EPOCH), 2.0)
    vouched.append(feed.vouched_at)
    feed.received(stream_bytes.heartbeat(SECOND), 3.0)

    assert [*vouched, feed.vouched_at] == [1.0, 2.0, 3.0]


@pytest.mark.covers("G5", "F08", "I5")
def test_what_arrives_in_pieces_vouches_for_the_moment_of_the_first() -> None:
    feed = greeted(1.0)
    heartbeat = stream_bytes.heartbeat(FIRST)
    feed.received(heartbeat[:10], 2.0)
    feed.received(heartbeat[10:20], 5.0)
    before = feed.vouched_at
    feed.received(heartbeat[20:], 9.0)

    assert (before, feed.vouched_at) == (1.0, 2.0)


@pytest.mark.covers("G5", "F08", "I5")
def test_nothing_vouches_while_the_next_message_is_under_way() -> None:
    feed = greeted(1.0)
    change = stream_bytes.change(CHANGE, EPOCH)
    feed.received(stream_bytes.heartbeat(FIRST) + change[:5], 2.0)
    before = feed.vouched_at
    feed.received(change[5:], 4.0)

    assert (before, feed.vouched_at) == (1.0, 2.0)


@pytest.mark.covers("G5", "F57", "I5")
def test_a_server_that_is_behind_vouches_for_nothing() -> None:
    feed = Feed(SECOND.cursor, random=lambda: 0.5)
    feed.opened(200, "text/event-stream", 0.0)
    feed.received(stream_bytes.connected(FIRST, "current"), 1.0)
    feed.received(b": \n\n", 2.0)
    feed.received(stream_bytes.heartbeat(FIRST), 3.0)
    before = feed.vouched_at
    feed.received(stream_bytes.change(CHANGE, EPOCH), 4.0)

    assert (before, feed.vouched_at) == (None, 4.0)


@pytest.mark.covers("G5", "I5")
def test_a_comment_vouches_for_nothing() -> None:
    feed = greeted(1.0)
    feed.received(b": \n\n", 2.0)

    assert feed.vouched_at == 1.0


@pytest.mark.covers("G5", "I5")
def test_a_reader_that_resumes_is_vouched_for_when_it_has_what_the_greeting_said() -> None:
    feed = Feed(FIRST.cursor, random=lambda: 0.5)
    feed.opened(200, "text/event-stream", 0.0)
    feed.received(stream_bytes.connected(SECOND, "changes"), 1.0)
    before = feed.vouched_at
    feed.received(stream_bytes.sync(stream_bytes.net_change(FIRST, SECOND)), 2.0)

    assert (before, feed.vouched_at) == (None, 2.0)


def asked(at: float, *, clock: int, arrives: float, heartbeat_ms: int = 15_000) -> Feed:
    """Return a feed that asked for a stream, whose greeting was made at `clock`."""
    feed = Feed(FIRST.cursor, random=lambda: 0.5)
    feed.request(at)
    feed.opened(200, "text/event-stream", arrives)
    feed.received(stream_bytes.connected(FIRST, "current", heartbeat_ms=heartbeat_ms, clock=clock), arrives)
    return feed


@pytest.mark.covers("G5", "I5")
def test_what_the_network_held_back_vouches_for_the_moment_at_which_it_was_made() -> None:
    feed = asked(10.0, clock=7_000_000, arrives=10.2)
    vouched = [feed.vouched_at]
    feed.received(stream_bytes.heartbeat(FIRST, 7_015_000), 31.0)
    vouched.append(feed.vouched_at)
    feed.received(stream_bytes.change(CHANGE, EPOCH, 7_020_000), 31.5)
    vouched.append(feed.vouched_at)

    assert vouched == [10.0, 25.0, 30.0]


@pytest.mark.covers("G5", "I5")
@given(
    st.integers(0, 2**62),
    st.floats(0.0, 5.0),
    st.floats(0.0, 20.0),
    st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(0.0, 60.0)), max_size=8),
)
def test_no_delay_makes_flags_seem_fresher_than_they_are(
    clock: int, way: float, answered: float, beats: list[tuple[float, float]]
) -> None:
    """Of each message: seconds after the one before at which it was made, and on its way at least."""
    asked_at, made = 100.0, 100.0 + way
    began = made
    arrives = made + answered
    feed = asked(asked_at, clock=clock, arrives=arrives, heartbeat_ms=300_000)

    assert feed.vouched_at is not None
    assert feed.vouched_at <= made
    for passed, delay in beats:
        made += passed
        arrives = max(arrives, made + delay)
        feed.received(stream_bytes.heartbeat(FIRST, clock + int((made - began) * 1000)), arrives)
        # To a millisecond, and never too early by more than the greeting took.
        assert made - way - 0.002 <= feed.vouched_at <= made + 1e-6


@given(first=st.integers(), second=st.none() | st.integers())
@example(first=-(10**400), second=10**400)
@example(first=10**400, second=-(10**400))
def test_clocks_that_make_no_sense_vouch_for_nothing_that_has_not_come(first: int, second: int | None) -> None:
    feed = asked(10.0, clock=first, arrives=11.0)
    feed.received(stream_bytes.heartbeat(FIRST, second), 12.0)

    assert feed.vouched_at is not None
    assert 10.0 <= feed.vouched_at <= 12.0


@pytest.mark.covers("G5", "F84")
def test_a_stream_whose_messages_come_too_late_is_dead() -> None:
    feed = asked(10.0, clock=0, arrives=10.5, heartbeat_ms=1000)
    feed.received(stream_bytes.heartbeat(FIRST, 1000), 13.0)

    assert feed.patience == MISSED_HEARTBEATS + 0.5
    assert feed.deadline() == 11.0 + feed.patience


@pytest.mark.covers("G5", "I5")
def test_what_has_no_clock_beside_others_that_have_one_was_made_after_the_request() -> None:
    feed = asked(10.0, clock=500, arrives=12.0)
    feed.received(stream_bytes.sync(stream_bytes.net_change(FIRST, SECOND)), 20.0)
    before = feed.vouched_at
    delta = replace(stream_bytes.net_change(SECOND, SECOND), clock=4500)
    feed.received(stream_bytes.sync(delta), 21.0)

    assert (before, feed.vouched_at) == (10.0, 14.0)


def test_a_new_connection_begins_without() -> None:
    feed = greeted(1.0)
    feed.closed(2.0)
    feed.opened(200, "text/event-stream", 3.0)

    assert feed.vouched_at is None
