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
