"""Which messages fit the cursor of a holder of a snapshot, and what is done about the others."""

from __future__ import annotations

import pytest
import stream_bytes
from change_log import EPOCH, Log, flag
from log_reader import LogReader, connect

from flagent.core.changes import Cursor, Delta, EventType, Snapshot
from flagent.wire.feed import Checkpoint, Feed, NeedSnapshot

OTHER = Snapshot.of("e2", 1, ())


def test_changes_that_follow_each_other_are_handed_out_and_move_the_cursor() -> None:
    reader = LogReader()

    assert reader.received(*reader.frames) == reader.changes
    assert reader.feed.cursor == Cursor(EPOCH, 3)


@pytest.mark.covers("F40")
def test_a_duplicate_is_dropped_and_counted_and_its_digest_compared() -> None:
    reader = LogReader()

    updates = reader.received(reader.frames[0], reader.frames[1], reader.frames[0], reader.frames[1])

    assert updates == [*reader.changes[:2], reader.checkpoint(2)]
    assert reader.feed.duplicates == 2


@pytest.mark.covers("F41")
def test_the_same_revision_with_another_content_is_told_as_another_digest() -> None:
    reader = LogReader()
    other = Log(flag(1, "a")).put(flag(99, "other"), EventType.FLAG_CREATED)

    updates = reader.received(reader.frames[0], stream_bytes.change(other, EPOCH))

    assert updates == [reader.changes[0], Checkpoint(Cursor(EPOCH, 1), other.digest)]


@pytest.mark.covers("F42", "F43")
@pytest.mark.parametrize("order", [(1,), (2,), (1, 0), (2, 0, 1)], ids=str)
def test_a_gap_or_another_order_asks_for_a_snapshot_and_stops(order: tuple[int, ...]) -> None:
    reader = LogReader()

    updates = reader.received(*(reader.frames[place] for place in order))

    assert updates == [NeedSnapshot(f"gap: e1:{order[0] + 1} does not follow e1:0")]
    assert reader.received(reader.frames[0]) == []
    assert reader.feed.cursor == Cursor(EPOCH, 0)


@pytest.mark.covers("F43")
def test_after_the_snapshot_what_waited_goes_on_from_there() -> None:
    reader = LogReader()
    reader.received(reader.frames[1], reader.frames[0], reader.frames[1], reader.frames[2])

    updates = reader.feed.restarted(reader.states[2].cursor, 0.0)

    assert updates == [reader.checkpoint(2), reader.changes[2]]
    assert reader.feed.cursor == Cursor(EPOCH, 3)


def test_a_holder_that_got_further_by_other_means_gets_only_what_is_newer() -> None:
    reader = LogReader()

    reader.feed.moved(reader.states[2].cursor)

    assert reader.received(*reader.frames) == [reader.checkpoint(2), reader.changes[2]]


@pytest.mark.covers("G2", "I2")
def test_a_holder_never_moves_back_within_an_epoch() -> None:
    reader = LogReader()
    reader.received(*reader.frames)

    reader.feed.moved(reader.states[1].cursor)

    assert reader.feed.cursor == Cursor(EPOCH, 3)


@pytest.mark.covers("F45")
def test_a_change_of_another_epoch_asks_for_a_snapshot() -> None:
    reader = LogReader()

    assert reader.received(stream_bytes.change(reader.changes[0], "e2")) == [
        NeedSnapshot("gap: e2:1 does not follow e1:0"),
    ]


@pytest.mark.covers("G5", "I5")
def test_a_reader_that_is_sent_changes_is_current_when_it_has_them_all() -> None:
    reader = LogReader(2)
    seen = [(reader.feed.live, reader.feed.current)]

    for frame in reader.frames:
        reader.received(frame)
        seen.append((reader.feed.live, reader.feed.current))

    assert seen == [(True, False), (True, False), (True, True)]


@pytest.mark.covers("F48")
def test_a_flag_that_was_deleted_is_not_brought_back_by_an_older_change_of_it() -> None:
    log = Log(flag(1, "a"))
    feed = Feed(log.snapshot.cursor, random=lambda: 0.0)
    patch, gone = log.put(flag(1, "a", description="x")), log.delete(1)
    frames = b"".join(stream_bytes.change(change, EPOCH) for change in (patch, gone, patch))

    updates = connect(feed, stream_bytes.connected(log.snapshot, "changes") + frames)

    assert updates == [patch, gone]
    assert feed.duplicates == 1


def test_a_sync_from_the_cursor_is_handed_out() -> None:
    reader = LogReader()
    delta = stream_bytes.net_change(reader.states[0], reader.states[3])

    assert reader.received(stream_bytes.sync(delta)) == [delta]
    assert reader.feed.cursor == Cursor(EPOCH, 3)


def test_a_sync_from_elsewhere_asks_for_a_snapshot() -> None:
    reader = LogReader()

    updates = reader.received(stream_bytes.sync(stream_bytes.net_change(reader.states[1], reader.states[3])))

    assert updates == [NeedSnapshot("gap: the update from e1:1 does not follow e1:0")]


@pytest.mark.covers("F45")
@pytest.mark.parametrize(
    "delta",
    [Delta(Cursor(EPOCH, 0), Cursor("e2", 9), 0), Delta(Cursor("e2", 0), Cursor("e2", 9), 0)],
    ids=["leads to", "starts from"],
)
def test_a_sync_never_leads_to_another_epoch(delta: Delta) -> None:
    (update,) = LogReader().received(stream_bytes.sync(delta))

    assert isinstance(update, NeedSnapshot)


def test_a_sync_that_leads_nowhere_new_is_a_duplicate() -> None:
    reader = LogReader()
    reader.received(*reader.frames)

    updates = reader.received(stream_bytes.sync(stream_bytes.net_change(reader.states[0], reader.states[2])))

    assert (updates, reader.feed.duplicates) == ([], 1)


@pytest.mark.covers("F50", "G4")
def test_a_heartbeat_at_the_cursor_lets_the_holder_compare_the_digest() -> None:
    reader = LogReader()
    reader.received(*reader.frames)

    assert reader.received(stream_bytes.heartbeat(reader.states[3])) == [reader.checkpoint(3)]


@pytest.mark.covers("F49")
def test_a_heartbeat_ahead_of_the_cursor_shows_that_something_got_lost() -> None:
    reader = LogReader()

    updates = reader.received(stream_bytes.heartbeat(reader.states[1]))

    assert updates == [NeedSnapshot("gap: the server is at e1:1, not e1:0")]


def test_a_heartbeat_of_a_server_that_is_behind_changes_nothing() -> None:
    reader = LogReader()
    reader.received(*reader.frames)

    assert reader.received(stream_bytes.heartbeat(reader.states[1])) == []
    assert reader.feed.cursor == Cursor(EPOCH, 3)


def test_a_heartbeat_of_another_epoch_asks_for_a_snapshot() -> None:
    reader = LogReader()

    (update,) = reader.received(stream_bytes.heartbeat(OTHER))

    assert isinstance(update, NeedSnapshot)


def test_a_resync_asks_for_a_snapshot() -> None:
    reader = LogReader()

    assert reader.received(stream_bytes.resync(Cursor(EPOCH, 3), "log is gone")) == [NeedSnapshot("log is gone")]


def test_a_resync_that_a_snapshot_has_answered_already_asks_for_none() -> None:
    reader = LogReader()
    hello = stream_bytes.connected(reader.states[3], "resync")
    connect(reader.feed, hello + stream_bytes.resync(Cursor(EPOCH, 3)))

    assert reader.feed.restarted(Cursor(EPOCH, 3), 0.0) == []


@pytest.mark.parametrize(
    ("cursor", "resume", "reason"),
    [
        (None, "none", "start"),
        (Cursor(EPOCH, 0), "none", "resync"),
        (Cursor(EPOCH, 0), "resync", "resync"),
        (Cursor("e0", 7), "resync", "resync"),
    ],
)
def test_a_greeting_that_does_not_resume_asks_for_a_snapshot(cursor: Cursor | None, resume: str, reason: str) -> None:
    feed = Feed(cursor, random=lambda: 0.0)

    assert connect(feed, stream_bytes.connected(Log().snapshot, resume)) == [NeedSnapshot(reason)]


def test_a_greeting_at_the_cursor_lets_the_holder_compare_the_digest() -> None:
    snapshot = Log(flag(1, "a")).snapshot
    feed = Feed(snapshot.cursor, random=lambda: 0.0)

    updates = connect(feed, stream_bytes.connected(snapshot, "current"))

    assert updates == [Checkpoint(snapshot.cursor, snapshot.digest)]


def test_a_greeting_of_a_server_that_is_behind_changes_nothing() -> None:
    feed = Feed(Cursor(EPOCH, 9), random=lambda: 0.0)

    assert connect(feed, stream_bytes.connected(Log().snapshot, "current")) == []
    assert feed.cursor == Cursor(EPOCH, 9)


@pytest.mark.covers("F45")
def test_another_epoch_is_taken_from_the_snapshot_though_its_revision_is_lower() -> None:
    reader = LogReader()
    reader.received(*reader.frames, stream_bytes.heartbeat(OTHER))

    reader.feed.restarted(OTHER.cursor, 0.0)

    assert reader.feed.request().headers["Last-Event-ID"] == "e2:1"


@pytest.mark.covers("F38")
def test_unknown_events_are_ignored() -> None:
    reader = LogReader()

    assert reader.received(b"event: flag.praised\ndata: x\n\n", reader.frames[0]) == reader.changes[:1]
