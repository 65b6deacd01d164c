"""A connection's life: what is asked for, what is taken for a stream, and when it counts as dead."""

from __future__ import annotations

import pytest
import stream_bytes
from change_log import EPOCH, Log, flag
from feeds import HEARTBEAT, HELLO, LOG, TYPE, live_feed, new_feed, opening
from hypothesis import given
from hypothesis import strategies as st

from flagent.core.changes import EventType
from flagent.errors import EventTooLarge, StreamBroken
from flagent.wire.feed import Feed, StreamRequest


def test_a_request_without_cursor_asks_for_flags_and_names_no_event() -> None:
    assert new_feed(None).request() == StreamRequest(
        (("payload", "flag"),),
        {"Accept": TYPE, "Cache-Control": "no-store", "Accept-Encoding": "identity"},
    )


def test_a_request_with_cursor_resumes_from_it() -> None:
    assert new_feed().request().headers["Last-Event-ID"] == "e1:5"


def test_a_request_names_each_filter() -> None:
    feed = Feed(flag_keys=["a", "b"], flag_ids=[3], tags=["t"], random=lambda: 0.0)

    assert feed.request().query[1:] == (("flagKey", "a"), ("flagKey", "b"), ("flagID", "3"), ("tag", "t"))
    assert feed.filtered


@pytest.mark.covers("F26")
@pytest.mark.parametrize("content_type", ["", "text/html", "application/json", "text/event-streams"])
def test_an_answer_that_is_no_stream_is_refused(content_type: str) -> None:
    error = opening(new_feed(), 200, content_type)

    assert isinstance(error, StreamBroken)
    assert "is this the address of a flag server?" in str(error)


@pytest.mark.covers("F26")
@pytest.mark.parametrize("content_type", ["text/event-stream; charset=x", " Text/Event-Stream ;x"])
def test_parameters_of_the_content_type_do_not_matter(content_type: str) -> None:
    new_feed().opened(200, content_type, 0.0)


def test_a_stream_is_live_from_connected_until_it_is_closed() -> None:
    feed = new_feed()
    states = [(feed.live, feed.protocol)]

    feed.opened(200, TYPE, 0.0)
    states.append((feed.live, feed.protocol))
    feed.received(HELLO, 0.0)
    states.append((feed.live, feed.protocol))
    feed.closed(1.0)
    states.append((feed.live, feed.protocol))

    assert states == [(False, None), (False, None), (True, 1), (False, 1)]


def test_a_connection_that_was_never_closed_leaves_nothing_to_the_next() -> None:
    feed = live_feed()

    feed.opened(200, TYPE, 100.0)

    assert (feed.live, feed.protocol, feed.deadline()) == (False, None, 110.0)


@pytest.mark.covers("F13")
def test_connected_must_come_within_ten_seconds_whatever_else_comes() -> None:
    feed = new_feed()
    feed.opened(200, TYPE, 100.0)

    feed.received(b": hb\n\n", 109.0)

    assert feed.deadline() == 110


def test_two_and_a_half_heartbeats_of_silence_are_death() -> None:
    assert live_feed(100.0).deadline() == 137.5


def test_the_server_says_how_often_it_beats() -> None:
    feed = new_feed()
    feed.opened(200, TYPE, 100.0)

    feed.received(stream_bytes.connected(LOG.snapshot, "current", heartbeat_ms=4000), 100.0)

    assert feed.deadline() == 110


@pytest.mark.parametrize(
    ("heartbeat_ms", "deadline"),
    [(0, 0.05), (-(10**400), 0.05), (10**12, 750.0), (10**400, 750.0)],
    ids=["none", "negative", "long", "endless"],
)
def test_a_heartbeat_interval_that_makes_no_sense_is_bounded(heartbeat_ms: int, deadline: float) -> None:
    feed = new_feed()
    feed.opened(200, TYPE, 0.0)

    feed.received(b'event: connected\ndata: {"protocol":1,"resume":"current","heartbeatMs":%d}\n\n' % heartbeat_ms, 0.0)

    assert feed.deadline() == pytest.approx(deadline)


@pytest.mark.covers("F09")
@pytest.mark.parametrize(
    ("chunk", "deadline"),
    [
        pytest.param(HEARTBEAT, 67.5, id="heartbeat"),
        pytest.param(b": hb\n", 37.5, id="comment"),
        pytest.param(b"event: unknown\ndata: x\n\n", 37.5, id="unknown event"),
        pytest.param(HEARTBEAT[:-1], 37.5, id="an event that is not complete"),
        pytest.param(b": hb", 37.5, id="a comment that is not complete"),
        pytest.param(b"data: x\n" * 9, 37.5, id="lines of an event without end"),
    ],
)
def test_only_what_says_that_the_holder_is_current_proves_life(chunk: bytes, deadline: float) -> None:
    feed = live_feed()

    feed.received(chunk, 30.0)

    assert feed.deadline() == deadline


@pytest.mark.covers("F09")
def test_a_slow_drip_that_completes_nothing_dies() -> None:
    feed = live_feed()

    for second in range(1, 100):
        feed.received(b"data: x\n", float(second))

    assert feed.deadline() == 37.5


def test_a_plain_flagent_server_may_be_silent_for_ten_minutes() -> None:
    feed = new_feed()
    feed.opened(200, TYPE, 0.0)

    feed.received(b'data: {"type":"connected","message":"m"}\r\nevent: connected\r\n\r\n', 0.0)

    assert feed.deadline() == 600


def test_the_time_that_a_snapshot_takes_does_not_count_as_silence() -> None:
    feed = new_feed(None)
    feed.opened(200, TYPE, 0.0)
    feed.received(stream_bytes.connected(LOG.snapshot, "none"), 0.0)

    feed.restarted(LOG.snapshot.cursor, 30.0)

    assert feed.deadline() == 67.5


def test_a_stream_must_begin_with_connected() -> None:
    feed = new_feed()
    feed.opened(200, TYPE, 0.0)

    updates = feed.received(HEARTBEAT, 0.0)

    assert updates == []
    assert isinstance(feed.failure, StreamBroken)


@pytest.mark.covers("F39")
def test_a_newer_major_protocol_is_no_use_and_asked_about_seldom() -> None:
    feed = new_feed(chance=0.0)
    feed.opened(200, TYPE, 0.0)

    updates = feed.received(stream_bytes.connected(LOG.snapshot, "current", protocol=2), 0.0)

    assert (updates, feed.live) == ([], False)
    assert "speaks protocol 2, this client 1" in str(feed.failure)
    assert feed.closed(0.0, feed.failure) == 60


@pytest.mark.covers("F33")
def test_an_event_over_the_limit_ends_the_stream_after_what_came_before_it() -> None:
    log = Log(flag(1, "a"))
    hello = stream_bytes.connected(log.snapshot, "changes")
    feed = Feed(log.snapshot.cursor, max_event_bytes=2000, random=lambda: 0.0)
    feed.opened(200, TYPE, 0.0)
    change = log.put(flag(2, "b"), EventType.FLAG_CREATED)
    large = stream_bytes.change(log.put(flag(3, "c", description="x" * 5000), EventType.FLAG_CREATED), EPOCH)

    updates = feed.received(hello + stream_bytes.change(change, EPOCH) + large, 0.0)
    feed.received(HEARTBEAT, 0.0)

    assert updates == [change]
    assert isinstance(feed.failure, EventTooLarge)


@pytest.mark.covers("G10")
@given(st.lists(st.binary(max_size=60) | st.sampled_from([HELLO, HEARTBEAT, b"\n\n", b"data: {}\n"]), max_size=12))
def test_nothing_that_a_server_sends_raises(chunks: list[bytes]) -> None:
    feed = new_feed()
    feed.opened(200, TYPE, 0.0)

    for chunk in chunks:
        feed.received(chunk, 0.0)

    assert 0 <= feed.closed(1.0, feed.failure) <= 900
