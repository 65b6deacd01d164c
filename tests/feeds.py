"""Followers of one log, and where they are with their connection."""

from __future__ import annotations

import pytest
import stream_bytes
from change_log import Log, flag

from flagent.core.changes import Cursor
from flagent.errors import FlagentError
from flagent.wire.feed import Feed

TYPE = "text/event-stream"
LOG = Log(flag(1, "a"), revision=5)
HELLO = stream_bytes.connected(LOG.snapshot, "current")
HEARTBEAT = stream_bytes.heartbeat(LOG.snapshot)


def new_feed(cursor: Cursor | None = LOG.snapshot.cursor, *, chance: float = 1 - 2**-53) -> Feed:
    """Return one that is not connected."""
    return Feed(cursor, random=lambda: chance)


def live_feed(now: float = 0.0) -> Feed:
    """Return one that was greeted."""
    feed = new_feed()
    feed.opened(200, TYPE, now)
    feed.received(HELLO, now)
    return feed


def opening(feed: Feed, status: int, content_type: str = TYPE, retry_after: float | None = None) -> FlagentError:
    """Return what is wrong with an answer of this kind."""
    with pytest.raises(FlagentError) as caught:
        feed.opened(status, content_type, 0.0, retry_after=retry_after)
    return caught.value
