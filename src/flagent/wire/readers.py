"""What a message is to a reader at its cursor: an update, a duplicate, or a gap.

A cursor moves with every update handed out, and never back within an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from msgspec.structs import replace

from ..core.changes import Cursor, Delta, EventType
from ..errors import DecodeError
from .events import Connected, FlagEvent, Heartbeat, Resync, change_of
from .updates import Checkpoint, NeedSnapshot, Update
from .views import parse_digest

#: What moves a cursor, besides `connected`.
News = FlagEvent | Delta | Heartbeat | Resync


class Reader(Protocol):
    """Keeps the cursor of one holder.

    Attributes:
        cursor: how far the holder is; None for nothing.
        duplicates: how many updates were known already.
        gaps: how often something was passed over that can't be had any more.
    """

    cursor: Cursor | None
    duplicates: int
    gaps: int

    def begin(self, message: Connected, *, quarantine: bool) -> list[Update]:
        """Take the greeting of a stream; with `quarantine`, what follows the cursor can't be read."""

    def take(self, news: News) -> list[Update]:
        """Take any other message.

        Raises:
            DecodeError: it makes no sense.
        """


class SnapshotReader:
    """For a holder of a snapshot: only what fits the cursor may be applied, anything else asks for a snapshot."""

    def __init__(self, cursor: Cursor | None, *, filtered: bool) -> None:
        self.cursor = cursor
        self.duplicates = 0
        self.gaps = 0
        self._filtered = filtered
        self._plain = False

    def begin(self, message: Connected, *, quarantine: bool) -> list[Update]:
        """Take the greeting of a stream."""
        self._plain = not message.protocol
        if self._plain:
            # A plain Flagent server never says what was missed: every connection begins with a refresh.
            return [NeedSnapshot("connected to a plain Flagent server")]
        if self.cursor is None or message.resume in (None, "none", "resync"):
            return [NeedSnapshot("start" if self.cursor is None else "resync")]
        if quarantine:
            return [NeedSnapshot("quarantine")]
        return self._checkpoint(Cursor.parse(message.revision), message.digest) if message.resume == "current" else []

    def take(self, news: News) -> list[Update]:
        """Take any other message."""
        if isinstance(news, FlagEvent):
            # The cursor stays: only the refresh that a plain server's event starts leads anywhere.
            return [news] if self._plain else self._take_event(news)
        if isinstance(news, Delta):
            return self._take_delta(news)
        if isinstance(news, Heartbeat):
            return self._take_heartbeat(news)
        # A snapshot that was fetched since, because `connected` asked for it, has answered this already.
        return [] if is_known(Cursor.parse(news.revision), self.cursor) else [NeedSnapshot(news.reason or "resync")]

    def _take_event(self, event: FlagEvent) -> list[Update]:
        following = change_of(event)
        if following is None:
            raise DecodeError(f"event {event.type}: it names no flag or no revision")
        cursor, change = following
        if is_known(cursor, self.cursor):
            self.duplicates += 1
            # The same revision with another content shows by its digest.
            return self._checkpoint(cursor, event.digest)
        if not _follows(cursor, self.cursor, filtered=self._filtered):
            return [NeedSnapshot(f"gap: {cursor} does not follow {self.cursor}")]
        self.cursor = cursor
        return [change]

    def _take_delta(self, delta: Delta) -> list[Update]:
        if is_known(delta.cursor, self.cursor):
            self.duplicates += 1
            return []
        if delta.origin != self.cursor or delta.cursor.epoch != self.cursor.epoch:
            return [NeedSnapshot(f"gap: the update from {delta.origin} does not follow {self.cursor}")]
        self.cursor = delta.cursor
        # A filtered reader does not hold what the digest is about.
        return [replace(delta, digest=None) if self._filtered else delta]

    def _take_heartbeat(self, heartbeat: Heartbeat) -> list[Update]:
        cursor = _cursor_of(heartbeat)
        if is_known(cursor, self.cursor):
            return self._checkpoint(cursor, heartbeat.digest)
        if not self._filtered or self.cursor is None or cursor.epoch != self.cursor.epoch:
            # The server writes what it has before it says where it is: something got lost.
            return [NeedSnapshot(f"gap: the server is at {cursor}, not {self.cursor}")]
        self.cursor = cursor
        return []

    def _checkpoint(self, cursor: Cursor | None, digest: str | None) -> list[Update]:
        value = parse_digest(digest)
        if self._filtered or cursor is None or value is None or cursor != self.cursor:
            return []
        return [Checkpoint(cursor, value)]


class EventReader:
    """For a holder of nothing but events: all that is new is handed out, and gaps are counted."""

    def __init__(self, cursor: Cursor | None, *, filtered: bool) -> None:
        self.cursor = cursor
        self.duplicates = 0
        self.gaps = 0
        self._filtered = filtered

    def begin(self, message: Connected, *, quarantine: bool) -> list[Update]:
        """Take the greeting of a stream."""
        if self.cursor is None or message.resume in ("none", "resync") or quarantine:
            self.gaps += self.cursor is not None
            self.cursor = Cursor.parse(message.revision)
        return []

    def take(self, news: News) -> list[Update]:
        """Take any other message."""
        if isinstance(news, FlagEvent):
            cursor = Cursor.parse(news.revision)
            # A plain Flagent server's events have none.
            return [news] if cursor is None or self._moved(cursor) else []
        if isinstance(news, Delta):
            return list(_events_of(news)) if self._moved(news.cursor, origin=news.origin) else []
        cursor = _cursor_of(news)
        if not is_known(cursor, self.cursor):
            # A filtered reader's cursor moves by heartbeats.
            self.gaps += isinstance(news, Resync) or not self._filtered
            self.cursor = cursor
        return []

    def _moved(self, cursor: Cursor, *, origin: Cursor | None = None) -> bool:
        if is_known(cursor, self.cursor):
            self.duplicates += 1
            return False
        if self.cursor is not None:
            fits = _follows(cursor, self.cursor, filtered=self._filtered) if origin is None else origin == self.cursor
            self.gaps += not fits
        self.cursor = cursor
        return True


def is_known(cursor: Cursor | None, held: Cursor | None) -> bool:
    """Whether a reader at `held` has what leads to `cursor`."""
    return cursor is not None and held is not None and cursor.epoch == held.epoch and cursor.revision <= held.revision


def _follows(cursor: Cursor, held: Cursor | None, *, filtered: bool) -> bool:
    """Whether a change that leads to `cursor`, which is not known, is the next one for a reader at `held`."""
    if held is None or cursor.epoch != held.epoch:
        return False
    # With a filter the server leaves changes out.
    return filtered or cursor.revision == held.revision + 1


def _cursor_of(message: Heartbeat | Resync) -> Cursor:
    cursor = Cursor.parse(message.revision)
    if cursor is None:
        raise DecodeError(f"{type(message).__name__.lower()}: `revision` {message.revision[:80]!r} is no cursor")
    return cursor


def _events_of(delta: Delta) -> Iterator[FlagEvent]:
    # What happened in between is not known, only what it came to.
    for flag in delta.flags:
        yield FlagEvent(EventType.FLAG_UPDATED, flag.id, flag.key, f"Flag updated: {flag.key}", flag=flag)
    there = {flag.id for flag in delta.flags}
    for ref in delta.deleted:
        # A renamed flag has left its key, but is there.
        if ref.id not in there:
            yield FlagEvent(EventType.FLAG_DELETED, ref.id, ref.key, f"Flag deleted: {ref.key}")
