"""The changes since a moment, from the log: page by page, at the pace of the reader, and then live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

from ..core.changes import Change, Cursor, EventType
from ..core.edits import time_text
from ..core.model import Flag
from ..wire.encodings import COMPATIBLE, Encoding, Messages
from . import frames
from .asgi import Refusal
from .filters import Filter
from .frames import Frame
from .hub import Hub
from .readers import ChangeReader, CompatibleReader
from .storage import Storage

#: Changes that are read and written at once.
_PAGE = 500
_MAX_DIGITS = 16


class Beginning(NamedTuple):
    """Where a replay begins.

    Attributes:
        cursor: of a reader that knows everything before the moment.
        refusal: why there can be none, in words; empty when there can.
    """

    cursor: Cursor
    refusal: str = ""


def moment(text: str) -> int:
    """Return the milliseconds since 1970 that a `since` names: as such a number, or as a time of RFC 3339.

    Raises:
        Refusal: 400, it is neither.
    """
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return int(text)
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    wanted = "milliseconds since 1970, or a time with its zone as in 2026-01-31T12:00:00Z"
    raise Refusal(400, f"since: {text[:40]!r} is neither {wanted}")


async def begin(storage: Storage, since_ms: int, max_replay: int) -> Beginning:
    """Return where the changes since a moment begin.

    Raises:
        StorageUnavailable: the log can't be read.
    """
    found = await storage.since(since_ms)
    count = found.head.revision - found.after
    if found.begins_at is not None and found.oldest > 1:
        return Beginning(found.head, f"the log reaches back to {time_text(found.begins_at)} only")
    if count > max_replay:
        return Beginning(found.head, f"{count} changes since then are more than the {max_replay} that are replayed")
    return Beginning(Cursor(found.head.epoch, found.after))


class Replay:
    """Writes every change between a reader's cursor and the present; then the reader is live."""

    def __init__(
        self, storage: Storage, hub: Hub, reader: ChangeReader | CompatibleReader, wanted: Filter, encoding: Encoding
    ) -> None:
        self._storage = storage
        self._hub = hub
        self._reader = reader
        self._wanted = wanted
        self._encoding = encoding
        # What each flag was before its next change: a filter by tag lets pass what leaves the tag, too.
        self._flags: dict[int, Flag | None] = {}

    async def __call__(self) -> AsyncIterator[Messages]:
        """Yield what to write; the reader moves along."""
        while not self._hub.is_near(self._reader.cursor):
            page = await self._storage.changes_after(self._reader.cursor.revision, _PAGE)
            if not page:
                return
            passing = [self._frame(change) for change in page]
            if self._encoding is COMPATIBLE:
                messages = frames.coalesced(passing, self._wanted)
            else:
                messages = frames.changes(passing, self._wanted, self._encoding)
            if messages:
                yield messages
            self._reader.moved(passing[-1].cursor)

    def _frame(self, change: Change) -> Frame:
        before = self._flags.get(change.flag_id)
        unknown = change.flag_id not in self._flags and change.type is not EventType.FLAG_CREATED
        if self._wanted.tags is not None:
            self._flags[change.flag_id] = change.flag
        frame = Frame(self._hub.cursor.epoch, change, before)
        if unknown and self._wanted.tags is not None:
            # Nobody knows which tags it had: better one event too many than one too few.
            frame.tags |= self._wanted.tags
        return frame
