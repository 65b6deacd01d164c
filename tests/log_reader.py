"""A feed at the beginning of a small log, for tests of what it hands out."""

from __future__ import annotations

from collections.abc import Sequence

import stream_bytes
from change_log import EPOCH, Log, flag

from flagent.core.changes import Change, EventType
from flagent.wire.feed import Checkpoint, Feed


def connect(feed: Feed, hello: bytes) -> list[object]:
    """Begin a connection with these bytes, and return what is handed out."""
    feed.opened(200, "text/event-stream", 0.0)
    return list(feed.received(hello, 0.0))


class LogReader:
    """A reader at revision 0 of a log, whose stream is live.

    Attributes:
        states: the server's snapshots, by revision.
        changes: what led from each to the next.
        frames: the changes as bytes.
    """

    def __init__(self, size: int = 3, *, flag_keys: Sequence[str] = ()) -> None:
        log = Log(flag(1, "a"))
        self.states = [log.snapshot]
        self.changes: list[Change] = []
        for number in range(size):
            self.changes.append(log.put(flag(number + 2, f"b{number}"), EventType.FLAG_CREATED))
            self.states.append(log.snapshot)
        self.frames = [stream_bytes.change(change, EPOCH) for change in self.changes]
        self.feed = Feed(self.states[0].cursor, flag_keys=flag_keys, random=lambda: 0.0)
        connect(self.feed, stream_bytes.connected(self.states[-1], "changes"))

    def received(self, *frames: bytes) -> list[object]:
        return list(self.feed.received(b"".join(frames), 0.0))

    def checkpoint(self, revision: int) -> Checkpoint:
        return Checkpoint(self.states[revision].cursor, self.states[revision].digest)
