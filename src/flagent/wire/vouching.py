"""For which moment a stream says that its holder is current.

What the network holds back was said before it came. So each message tells the clock of the server, and the first one
was not made before it was asked for: a message that was made so much later than that one counts from so much later
than the request, and never from after it began to arrive. Without clocks its arrival is all that is known. What a
greeting said that the server has, has to arrive first; and a server that is behind the holder says nothing about it.
"""

from __future__ import annotations

from ..core.changes import Cursor, Delta
from .events import Connected, Goodbye, Heartbeat, Message, Resync
from .readers import is_known

#: Milliseconds that a stream can last: an integer of JSON may be too large for a float.
_LONGEST = 10**12


class Vouching:
    """What one connection has said so far.

    Attributes:
        at: the last moment, in monotonic seconds, for which it said that the holder is current; None for none.
        greeted_at: where the server said that it is when it greeted; None before.
        behind: whether the server was behind the holder when it last said where it is.
        leeway: seconds by which messages may count from too early: between the request and the greeting.
    """

    __slots__ = (
        "_asked_at",
        "_began_at",
        "_clock",
        "_first_clock",
        "_is_place",
        "_told",
        "at",
        "behind",
        "greeted_at",
        "leeway",
    )

    def __init__(self, asked_at: float, now: float) -> None:
        self.at: float | None = None
        self.greeted_at: Cursor | None = None
        self.behind = False
        self.leeway = 0.0
        self._asked_at = asked_at
        self._began_at = now
        self._clock: int | None = None
        self._first_clock: int | None = None
        self._told: Cursor | None = None
        self._is_place = False

    def begins(self, now: float) -> None:
        """Note that what arrives from now on began at this moment."""
        self._began_at = now

    def hear(self, message: Message) -> None:
        """Note where a message sees the server."""
        if isinstance(message, Goodbye | Resync):
            return
        self._told = message.cursor if isinstance(message, Delta) else Cursor.parse(message.revision)
        self._clock = message.clock
        if isinstance(message, Connected):
            self.greeted_at, self._first_clock = self._told, message.clock
            if message.clock is not None:
                self.leeway = max(0.0, self._began_at - self._asked_at)
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
                self.at = self._made_at() if self.at is None else max(self.at, self._made_at())
        elif self._is_place:
            self.behind = told.epoch == cursor.epoch and told.revision < cursor.revision

    def _made_at(self) -> float:
        """Return the latest moment of which is known that the message was not made before it."""
        if self._first_clock is None:
            return self._began_at
        # What has no clock was made for this stream, or is no older than what it told first.
        passed = 0 if self._clock is None else min(max(self._clock - self._first_clock, 0), _LONGEST)
        return min(self._began_at, self._asked_at + passed / 1000)
