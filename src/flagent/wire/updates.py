"""What a feed hands out to whoever applies it."""

from __future__ import annotations

from typing import NamedTuple

from ..core.changes import Change, Cursor, Delta
from .events import FlagEvent


class NeedSnapshot(NamedTuple):
    """The gap can't be bridged here: fetch the snapshot, then call `restarted`."""

    reason: str


class Checkpoint(NamedTuple):
    """The server says what the digest is at a cursor; whoever holds another one has diverged."""

    cursor: Cursor
    digest: int


#: A `FlagEvent` comes from a plain Flagent server, or to a holder of events alone.
Update = Change | Delta | FlagEvent | NeedSnapshot | Checkpoint


class Summary:
    """An update in a few words, made only if somebody reads them."""

    def __init__(self, update: Update) -> None:
        self._update = update

    def __str__(self) -> str:
        update = self._update
        if isinstance(update, Change):
            return f"{update.type} of flag {update.flag_key!r}, revision {update.revision}"
        if isinstance(update, Delta):
            return f"changes of {len(update.flags) + len(update.deleted)} flags up to {update.cursor}"
        return repr(update)
