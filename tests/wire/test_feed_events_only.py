"""A feed for a holder of nothing but events: everything new is handed out, gaps are counted."""

from __future__ import annotations

import stream_bytes
from change_log import EPOCH, Log, flag

from flagent.core.changes import Cursor, EventType
from flagent.wire.codec import FlagEvent, event_of
from flagent.wire.feed import MAX_BAD_PAYLOADS, Feed, Update

BAD = b'event: flag.updated\ndata: {"type":"flag.updated","flagID":"x"}\n\n'


def connect(feed: Feed, stream: bytes) -> list[Update]:
    feed.opened(200, "text/event-stream", 0.0)
    return feed.received(stream, 0.0)


def keys(updates: list[Update]) -> list[str | None]:
    return [update.flag_key for update in updates if isinstance(update, FlagEvent)]


class Case:
    """A feed that began with an empty log, to which three flags were added since."""

    def __init__(self, *, filtered: bool = False) -> None:
        log = Log()
        self.states = [log.snapshot]
        self.changes = []
        for number, key in enumerate("abc", 1):
            self.changes.append(log.put(flag(number, key), EventType.FLAG_CREATED))
            self.states.append(log.snapshot)
        self.frames = [stream_bytes.change(change, EPOCH) for change in self.changes]
        tags = ["t"] if filtered else []
        self.feed = Feed(events_only=True, tags=tags, random=lambda: 0.0)
        connect(self.feed, stream_bytes.connected(self.states[0], "none"))


def test_it_begins_at_the_servers_cursor_without_a_snapshot() -> None:
    case = Case()

    assert case.feed.cursor == Cursor(EPOCH, 0)
    assert case.feed.gaps == 0


def test_events_are_handed_out_as_they_came() -> None:
    case = Case()

    updates = case.feed.received(b"".join(case.frames), 0.0)

    assert updates == [event_of(change, EPOCH, with_flag=True) for change in case.changes]
    assert case.feed.request().headers["Last-Event-ID"] == "e1:3"


def test_what_is_known_is_dropped_and_counted() -> None:
    case = Case()

    updates = case.feed.received(b"".join([*case.frames, *case.frames]), 0.0)

    assert keys(updates) == ["a", "b", "c"]
    assert (case.feed.duplicates, case.feed.cursor) == (3, Cursor(EPOCH, 3))


def test_a_jump_is_counted_and_the_event_handed_out() -> None:
    case = Case()

    assert keys(case.feed.received(case.frames[2], 0.0)) == ["c"]
    assert case.feed.gaps == 1


def test_with_a_filter_a_jump_is_no_gap() -> None:
    case = Case(filtered=True)

    assert keys(case.feed.received(case.frames[2], 0.0)) == ["c"]
    assert case.feed.gaps == 0


def test_a_heartbeat_ahead_is_a_gap_except_with_a_filter() -> None:
    plain, filtered = Case(), Case(filtered=True)

    updates = [case.feed.received(stream_bytes.heartbeat(case.states[2]), 0.0) for case in (plain, filtered)]

    assert updates == [[], []]
    assert (plain.feed.gaps, filtered.feed.gaps) == (1, 0)
    assert (plain.feed.cursor, filtered.feed.cursor) == (Cursor(EPOCH, 2), Cursor(EPOCH, 2))


def test_a_sync_becomes_an_event_for_each_flag() -> None:
    log = Log(flag(1, "gone"), flag(2, "old"))
    before = log.snapshot
    feed = Feed(before.cursor, events_only=True, random=lambda: 0.0)
    connect(feed, stream_bytes.connected(before, "changes"))
    log.delete(1)
    renamed = log.put(flag(2, "renamed")).flag

    updates = feed.received(stream_bytes.sync(stream_bytes.net_change(before, log.snapshot)), 0.0)

    assert updates == [
        FlagEvent(EventType.FLAG_UPDATED, 2, "renamed", "Flag updated: renamed", flag=renamed),
        FlagEvent(EventType.FLAG_DELETED, 1, "gone", "Flag deleted: gone"),
    ]
    assert (feed.cursor, feed.gaps) == (log.snapshot.cursor, 0)


def test_a_sync_that_leads_nowhere_new_is_dropped() -> None:
    case = Case()
    case.feed.received(b"".join(case.frames), 0.0)

    updates = case.feed.received(stream_bytes.sync(stream_bytes.net_change(case.states[0], case.states[2])), 0.0)

    assert updates == []
    assert case.feed.cursor == Cursor(EPOCH, 3)


def test_a_resync_is_a_gap_once() -> None:
    case = Case()

    updates = connect(case.feed, stream_bytes.connected(case.states[3], "resync"))
    updates += case.feed.received(stream_bytes.resync(case.states[3].cursor), 0.0)

    assert updates == []
    assert (case.feed.gaps, case.feed.cursor) == (1, Cursor(EPOCH, 3))


def test_a_reader_that_fell_behind_is_told_by_a_resync_on_the_way() -> None:
    case = Case()

    case.feed.received(stream_bytes.resync(case.states[2].cursor) + case.frames[2], 0.0)

    assert (case.feed.gaps, case.feed.cursor) == (1, Cursor(EPOCH, 3))


def test_what_can_not_be_read_is_passed_over_once() -> None:
    case = Case()
    hello = stream_bytes.connected(case.states[2], "changes")

    for _ in range(MAX_BAD_PAYLOADS + 1):
        connect(case.feed, hello + BAD)

    assert (case.feed.gaps, case.feed.cursor) == (1, Cursor(EPOCH, 2))
    assert keys(connect(case.feed, stream_bytes.connected(case.states[3], "changes") + case.frames[2])) == ["c"]


def test_a_plain_flagent_servers_events_are_handed_out_each_time() -> None:
    feed = Feed(events_only=True, random=lambda: 0.0)
    event = b'data: {"type":"flag.created","flagKey":"a"}\r\nevent: flag.created\r\n\r\n'

    updates = connect(feed, b'event: connected\ndata: {"type":"connected","message":"m"}\n\n' + event + event)

    assert keys(updates) == ["a", "a"]
    assert feed.cursor is None
