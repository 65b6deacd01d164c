"""Events that can't be read: they end the connection, and again and again they lead to the snapshot."""

from __future__ import annotations

import pytest
import stream_bytes
from change_log import Log, flag
from log_reader import LogReader, connect

from flagent.core.changes import Snapshot
from flagent.errors import DecodeError
from flagent.wire.feed import MAX_BAD_PAYLOADS, Feed, NeedSnapshot

BAD = b'event: flag.updated\ndata: {"type":"flag.updated","flagID":"x"}\n\n'


@pytest.mark.covers("F37")
def test_a_bad_payload_ends_the_connection_after_what_came_before_it() -> None:
    reader = LogReader()

    updates = reader.received(reader.frames[0], BAD, reader.frames[1])

    assert updates == reader.changes[:1]
    assert isinstance(reader.feed.failure, DecodeError)
    assert reader.feed.request().headers["Last-Event-ID"] == "e1:1"


@pytest.mark.covers("F32", "I4")
def test_a_flag_that_is_no_utf_8_is_a_bad_payload_and_changes_nothing() -> None:
    reader = LogReader()

    updates = reader.received(reader.frames[0].replace(b'"b0"', b'"b\xff"'))

    assert updates == []
    assert isinstance(reader.feed.failure, DecodeError)
    assert reader.feed.cursor == reader.states[0].cursor


@pytest.mark.covers("F36")
@pytest.mark.parametrize("id_", [b"e1:9", b"\0", b"", b"x" * 65536], ids=["another", "NUL", "empty", "64 KiB"])
def test_the_id_of_an_event_is_not_what_the_next_stream_goes_on_from(id_: bytes) -> None:
    reader = LogReader()

    updates = reader.received(b"id: " + id_ + b"\n\n", reader.frames[0])

    assert updates == reader.changes[:1]
    assert reader.feed.request().headers["Last-Event-ID"] == "e1:1"


@pytest.mark.covers("F36", "G10")
@pytest.mark.parametrize(
    "epoch", ["a b", "a\r\nX: y", "\u00e9", "e" * 5000, "\0"], ids=["space", "line end", "letter", "long", "NUL"]
)
def test_an_epoch_that_no_header_can_carry_is_a_bad_payload(epoch: str) -> None:
    feed = Feed(random=lambda: 0.0)
    connect(feed, stream_bytes.connected(Log().snapshot, "none"))
    feed.restarted(Log().snapshot.cursor, 0.0)

    feed.received(stream_bytes.heartbeat(Snapshot.of(epoch, 1, ())), 0.0)

    assert isinstance(feed.failure, DecodeError)


def test_a_heartbeat_that_names_no_cursor_is_a_bad_payload() -> None:
    reader = LogReader()

    reader.received(b'event: heartbeat\ndata: {"revision":"x"}\n\n')

    assert isinstance(reader.feed.failure, DecodeError)


def test_an_event_that_is_no_change_is_a_bad_payload() -> None:
    reader = LogReader()

    reader.received(b'event: flag.updated\ndata: {"type":"flag.updated","flagID":1,"flagKey":"a"}\n\n')

    assert isinstance(reader.feed.failure, DecodeError)


@pytest.mark.covers("F37", "G11")
def test_the_same_bad_payload_again_and_again_leads_to_the_snapshot() -> None:
    reader = LogReader()
    hello = stream_bytes.connected(reader.states[3], "changes")

    answers = [connect(reader.feed, hello + BAD) for _ in range(MAX_BAD_PAYLOADS + 1)]

    assert answers == [[]] * MAX_BAD_PAYLOADS + [[NeedSnapshot("quarantine")]]


@pytest.mark.covers("F33", "G11")
def test_an_event_that_is_too_large_each_time_leads_to_the_snapshot() -> None:
    state = Log(flag(1, "a")).snapshot
    feed = Feed(state.cursor, max_event_bytes=1000, random=lambda: 0.0)
    hello = stream_bytes.connected(state, "changes")

    for _ in range(MAX_BAD_PAYLOADS):
        connect(feed, hello)
        feed.received(b"data: " + b"x" * 2000, 0.0)

    assert connect(feed, hello) == [NeedSnapshot("quarantine")]


@pytest.mark.covers("F37", "G11")
def test_the_quarantine_is_over_when_the_snapshot_is_there() -> None:
    reader = LogReader()
    hello = stream_bytes.connected(reader.states[3], "changes")
    for _ in range(MAX_BAD_PAYLOADS):
        connect(reader.feed, hello + BAD)
    connect(reader.feed, hello)

    reader.feed.restarted(reader.states[3].cursor, 0.0)

    assert connect(reader.feed, stream_bytes.connected(reader.states[3], "current")) == [reader.checkpoint(3)]


def test_bad_payloads_between_good_ones_are_no_reason_for_a_quarantine() -> None:
    reader = LogReader(MAX_BAD_PAYLOADS + 1)
    hello = stream_bytes.connected(reader.states[-1], "changes")

    updates = [connect(reader.feed, hello + frame + BAD) for frame in reader.frames]

    assert updates == [[change] for change in reader.changes]
