"""A commit, from the thread that makes it to the event loop, which has readers to tell of it.

Only one thread at a time has the interpreter. When the disk has a commit the writing thread has some things left to do,
such as giving its connection back, while the event loop's thread wakes and wants the interpreter for what somebody
waits for. So the writing thread lets it go first; and whoever waits for the commit waits for no more than that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from threading import Lock

_log = logging.getLogger("flagent.storage")

#: Seconds for which the writing thread lets the event loop go first, which may have other things to do.
_PRECEDENCE = 0.001


class Handover:
    """One commit, which is made and handed over once.

    Args:
        note: takes note of it on the event loop that runs here.
    """

    def __init__(self, note: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._note = note
        self._known: asyncio.Future[None] = self._loop.create_future()
        self._noted = Lock()
        self._noted.acquire()

    def soon(self, call: Callable[[], object]) -> None:
        """Have something called on the event loop; to be called by the writing thread, as `made` is."""
        self._loop.call_soon_threadsafe(call)

    def made(self, besides: Callable[[], object]) -> None:
        """Hand the commit over, and go on when note was taken of it; `besides` is called in between."""
        self._loop.call_soon_threadsafe(self._take_note)
        besides()
        self._noted.acquire(timeout=_PRECEDENCE)

    async def known(self, writing: asyncio.Future[None]) -> None:
        """Return as soon as note was taken of the commit that `writing` makes, which goes on after that.

        Raises:
            Exception: what `writing` raises without having made one.
        """
        writing.add_done_callback(self._ended)
        await self._known

    def _take_note(self) -> None:
        try:
            self._note()
        finally:
            self._noted.release()
            if not self._known.done():
                self._known.set_result(None)

    def _ended(self, writing: asyncio.Future[None]) -> None:
        error = None if writing.cancelled() else writing.exception()
        if self._known.done():
            if error is not None:
                # Whoever waited has gone, or was told of the commit already.
                _log.warning("after a write: %s", error)
        elif error is not None:
            self._known.set_exception(error)
        else:
            self._known.cancel()
