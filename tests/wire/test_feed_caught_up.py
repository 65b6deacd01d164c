"""When a holder has everything that it is known to have been told: only then are its flags current."""

from __future__ import annotations

import pytest
import stream_bytes
from change_log import EPOCH, Log, flag

from flagent.core.changes import Cursor
from flagent.wire.feed import Feed, NeedSnapshot

LOG = Log(flag(1, "a"), revision=5)
BEFORE = LOG.snapshot
CHANGE = stream_bytes.change(LOG.put(flag(1, "a", description="x")), EPOCH)
HEARTBEAT = stream_bytes.heartbeat(LOG.snapshot)


def greeted(resume: str = "changes", **options: tuple[str, ...]) -> Feed:
    feed = Feed(BEFORE.cursor, random=lambda: 0.0, **options)  # type: ignore[arg-type]
    feed.opened(200, "text/event-stream", 0.0)
    feed.received(stream_bytes.connected(LOG.snapshot, resume), 0.0)
    return feed


@pytest.mark.covers("G5", "I5")
def test_a_greeting_from_beyond_the_cursor_is_not_all_there_is() -> None:
    feed = greeted()

    assert feed.live
    assert not feed.caught_up
    assert not feed.current

    feed.received(CHANGE, 0.0)

    assert feed.current


@pytest.mark.covers("G5", "I5")
@pytest.mark.parametrize("length", [1, 7, len(HEARTBEAT) // 2, len(HEARTBEAT) - 1])
def test_while_a_part_of_an_event_is_missing_nobody_knows_whether_the_holder_is_current(length: int) -> None:
    feed = greeted()
    feed.received(CHANGE, 0.0)

    feed.received(HEARTBEAT[:length], 1.0)

    assert feed.caught_up
    assert not feed.current

    feed.received(HEARTBEAT[length:], 2.0)

    assert feed.current


@pytest.mark.covers("G5", "I5")
def test_a_goodbye_says_nothing_about_what_came_before() -> None:
    feed = greeted()
    feed.received(CHANGE, 0.0)

    feed.received(stream_bytes.goodbye("drain", 0), 1.0)

    assert not feed.current


def test_a_snapshot_answers_the_greeting_also_when_it_is_of_another_log() -> None:
    feed = greeted("resync")
    assert not feed.caught_up

    feed.restarted(Cursor("another", 1), 0.0)

    assert feed.caught_up


def test_a_snapshot_that_is_needed_later_is_waited_for() -> None:
    feed = greeted()
    feed.received(CHANGE, 0.0)

    (update,) = feed.received(stream_bytes.resync(Cursor(EPOCH, 9)), 1.0)

    assert isinstance(update, NeedSnapshot)
    assert not feed.caught_up


@pytest.mark.covers("F57", "I5")
def test_a_server_that_is_behind_is_no_help_until_it_is_where_the_holder_is() -> None:
    feed = Feed(LOG.snapshot.cursor, random=lambda: 0.0)
    feed.opened(200, "text/event-stream", 0.0)
    feed.received(stream_bytes.connected(BEFORE, "current"), 0.0)
    before = feed.caught_up

    feed.received(stream_bytes.heartbeat(LOG.snapshot), 1.0)

    assert (before, feed.caught_up) == (False, True)


def test_what_a_filter_leaves_out_is_not_waited_for() -> None:
    assert greeted(flag_keys=("b",)).caught_up
