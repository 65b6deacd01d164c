"""What a stream says, heard piece by piece and given on in the call that brings it.

What has to be waited for, such as a snapshot, is left to the task that listens, which then listens on. So a change
is on its way through one call only, from the event loop's to the ruleset that is evaluated.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Protocol

from ..core.changes import Change, Cursor, Delta
from ..errors import Diverged
from ..wire.codec import FlagEvent
from ..wire.feed import Checkpoint, Feed, NeedSnapshot, Update
from ..wire.updates import Summary

_log = logging.getLogger("flagent.client")

#: Takes a piece; returns whether to go on listening.
Hear = Callable[[bytes], bool]
#: Returns after how many seconds from now it was silent for too long; 0 or less when it is by now. Whoever goes on
#: listening may have given it more time by that, but not less.
Left = Callable[[], float]


class Ending(Enum):
    """Why nobody listens any more."""

    #: The body is at its end.
    ENDED = auto()
    #: There was silence for too long.
    SILENT = auto()
    #: Whoever heard it has heard enough for now.
    ENOUGH = auto()


async def hear_piece(read: Callable[[], Awaitable[bytes]], hear: Hear, left: Left) -> Ending | None:
    """Give the next piece of a body to `hear`; return None where the one after it is to be heard as well."""
    try:
        async with asyncio.timeout(left()):
            piece = await read()
    except TimeoutError:
        return Ending.SILENT
    if not piece:
        return Ending.ENDED
    return None if hear(piece) else Ending.ENOUGH


class Holder(Protocol):
    """Whoever gets the updates of a stream, on the event loop of the stream."""

    def deliver(self, update: Change | Delta | FlagEvent | Checkpoint, feed: Feed) -> None:
        """Take an update.

        Raises:
            Diverged: it does not fit what is held; `restart` follows.
        """

    async def restart(self, reason: str, feed: Feed) -> Cursor:
        """Get hold of a whole snapshot, and return where it stands.

        Raises:
            FlagentError: there is none; the stream ends for now.
        """


class Hearing:
    """Delivers what one connection says.

    Args:
        feed: the state of the stream.
        receiver: gets the updates.
        delivered: called whenever everything that was heard is delivered.
    """

    def __init__(self, feed: Feed, receiver: Holder, delivered: Callable[[], object]) -> None:
        self._feed = feed
        self._receiver = receiver
        self._delivered = delivered
        # Not empty only if it begins with what has to be waited for.
        self._left: deque[Update] = deque()

    def hear(self, piece: bytes) -> bool:
        """Deliver what a piece completes; return False when it is `settle`'s turn."""
        self._left.extend(self._feed.received(piece, time.monotonic()))
        return self._deliver() and self._feed.failure is None

    async def settle(self) -> None:
        """Wait for what has to be waited for, and deliver what comes of it and after it.

        Raises:
            FlagentError: the stream is of no use any more.
        """
        while self._left:
            await self._restart(self._left.popleft())
            self._deliver()
        if self._feed.failure is not None:
            raise self._feed.failure

    async def _restart(self, needed: Update) -> None:
        assert isinstance(needed, NeedSnapshot)
        cursor = await self._receiver.restart(needed.reason, self._feed)
        self._left.extend(self._feed.restarted(cursor, time.monotonic()))

    def _deliver(self) -> bool:
        """Deliver up to what has to be waited for; return whether that was all."""
        while self._left:
            update = self._left[0]
            if isinstance(update, NeedSnapshot):
                return False
            self._left.popleft()
            if _log.isEnabledFor(logging.DEBUG):
                _log.debug("received %s", Summary(update))
            try:
                self._receiver.deliver(update, self._feed)
            except Diverged as exc:
                _log.warning("starting from a snapshot again: %s", exc)
                # What came after it in the same piece is in the snapshot; and if that can't be had now, the next
                # connection must not go on from where the feed is.
                self._feed.diverged()
                self._left = deque((NeedSnapshot(str(exc)),))
                return False
        self._delivered()
        return True
