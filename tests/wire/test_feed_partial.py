"""Streams that do not say everything: filtered ones, and those of a plain Flagent server."""

from __future__ import annotations

import stream_bytes
from change_log import EPOCH
from log_reader import LogReader, connect

from flagent.core.changes import Cursor, Delta, EventType, digest_text
from flagent.wire import codec, sse
from flagent.wire.feed import Feed, NeedSnapshot

PLAIN_HELLO = b'data: {"type":"connected","message":"m"}\r\nevent: connected\r\n\r\n'
PLAIN_EVENT = b'data: {"type":"flag.created","flagKey":"a"}\r\nevent: flag.created\r\nid: 1700000000000\r\n\r\n'


def test_with_a_filter_a_jump_is_no_gap() -> None:
    reader = LogReader(flag_keys=["b1"])

    assert reader.received(reader.frames[1]) == [reader.changes[1]]
    assert reader.feed.cursor == Cursor(EPOCH, 2)


def test_with_a_filter_duplicates_are_dropped_too() -> None:
    reader = LogReader(flag_keys=["b1"])

    assert reader.received(reader.frames[1], reader.frames[0], reader.frames[1]) == [reader.changes[1]]
    assert reader.feed.duplicates == 2


def test_with_a_filter_heartbeats_move_the_cursor_and_no_digest_is_compared() -> None:
    reader = LogReader(flag_keys=["b1"])

    updates = reader.received(stream_bytes.heartbeat(reader.states[2]), stream_bytes.heartbeat(reader.states[2]))

    assert updates == []
    assert reader.feed.request().headers["Last-Event-ID"] == "e1:2"


def test_with_a_filter_a_sync_has_no_digest_to_verify() -> None:
    reader = LogReader(flag_keys=["b1"])
    delta = stream_bytes.net_change(reader.states[0], reader.states[3])

    (update,) = reader.received(stream_bytes.sync(delta))

    assert isinstance(update, Delta)
    assert (update.digest, update.flags) == (None, delta.flags)


def test_with_a_filter_another_epoch_asks_for_a_snapshot_all_the_same() -> None:
    reader = LogReader(flag_keys=["b1"])

    (update,) = reader.received(stream_bytes.change(reader.changes[2], "e2"))

    assert isinstance(update, NeedSnapshot)


def test_a_plain_flagent_servers_connection_begins_with_a_snapshot_and_its_events_are_handed_out() -> None:
    feed = Feed(random=lambda: 0.0)

    updates = connect(feed, PLAIN_HELLO + PLAIN_EVENT)
    events = feed.restarted(Cursor("", 0), 0.0) + feed.received(PLAIN_EVENT, 0.0)

    assert updates == [NeedSnapshot("connected to a plain Flagent server")]
    assert events == [codec.FlagEvent(EventType.FLAG_CREATED, None, "a")] * 2
    assert feed.protocol == 0


def test_an_event_that_carries_nothing_to_apply_does_not_move_the_cursor() -> None:
    feed = Feed(random=lambda: 0.0)
    connect(feed, PLAIN_HELLO)
    feed.restarted(Cursor(EPOCH, 3), 0.0)
    event = codec.FlagEvent(EventType.FLAG_CREATED, 1, "a", revision="e1:7", digest=digest_text(0))

    updates = feed.received(sse.encode(codec.data_of(event), event=event.type), 0.0)

    assert updates == [event]
    assert feed.cursor == Cursor(EPOCH, 3)
