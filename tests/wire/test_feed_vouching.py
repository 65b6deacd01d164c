"""When what a follower holds was current for certain: what the stream says vouches for the moment at which it began."""

from __future__ import annotations

import pytest
import stream_bytes
from change_log import EPOCH, Log, flag

from flagent.wire.feed import Feed

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


def test_a_new_connection_begins_without() -> None:
    feed = greeted(1.0)
    feed.closed(2.0)
    feed.opened(200, "text/event-stream", 3.0)

    assert feed.vouched_at is None
