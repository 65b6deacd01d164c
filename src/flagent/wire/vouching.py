"""For which moment a stream says that its holder is current.

What arrives in pieces was said before the first of them came; what a greeting said that the server has, has to
arrive first; and a server that is behind the holder says nothing about it.
"""

from __future__ import annotations

from ..core.changes import Cursor, Delta
from .events import Connected, Goodbye, Heartbeat, Message, Resync
from .readers import is_known


class Vouching:
    """What one connection has said so far.

    Attributes:
        at: the last moment, in monotonic seconds, for which it said that the holder is current; None for none.
        greeted_at: where the server said that it is when it greeted; None before.
        behind: whether the server was behind the holder when it last said where it is.
    """

    __slots__ = ("_began_at", "_is_place", "_told", "at", "behind", "greeted_at")

    def __init__(self, now: float) -> None:
        self.at: float | None = None
        self.greeted_at: Cursor | None = None
        self.behind = False
        self._began_at = now
        self._told: Cursor | None = None
        self._is_place = False

    def begins(self, now: float) -> None:
        """Note that what arrives from now on began at this moment."""
        self._began_at = now

    def hear(self, message: Message) -> None:
        """Note where a message sees the server."""
        if isinstance(message, Delta):
            self._told = message.cursor
        elif not isinstance(message, Goodbye | Resync):
            self._told = Cursor.parse(message.revision)
        if isinstance(message, Connected):
            self.greeted_at = self._told
        # Changes may be told again from the beginning; these two say where the server is now.
        self._is_place = isinstance(message, Connected | Heartbeat)

    def has_greeted(self, cursor: Cursor | None) -> bool:
        """Return whether a holder at `cursor` has all that the greeting said was there."""
        return self.greeted_at is None or is_known(self.greeted_at, cursor)

    def settle(self, cursor: Cursor | None, *, current: bool) -> None:
        """Note where the holder is after the message, and whether nothing is half read."""
        told, self._told = self._told, None
        if told is None or cursor is None:
            return
        if told == cursor:
            self.behind = False
            if current and self.has_greeted(cursor):
                self.at = self._began_at
        elif self._is_place:
            self.behind = told.epoch == cursor.epoch and told.revision < cursor.revision
