"""Events that wait for whoever reads them: bounded, so that a slow reader costs no memory."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from ..wire.codec import FlagEvent

_log = logging.getLogger("flagent.client")


class Buffer:
    """The events of one connection, in order. When it is full the oldest is dropped, counted and logged.

    Args:
        size: how many events it holds.
        news: called, in whatever thread puts something in or ends it, after it has.

    Attributes:
        dropped: how many events were dropped.
        ended: whether nothing more will come.
    """

    def __init__(self, size: int, news: Callable[[], None]) -> None:
        self.dropped = 0
        self.ended = False
        self._size = size
        self._news = news
        self._events: deque[FlagEvent] = deque()
        # Guards the events and their count, between the reader's and the network's thread.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: FlagEvent) -> None:
        """Add an event."""
        with self._lock:
            full = len(self._events) >= self._size
            if full:
                self._events.popleft()
                self.dropped += 1
            self._events.append(event)
        # Said when the number has doubled: a reader that has stopped must not fill the log.
        if full and self.dropped & (self.dropped - 1) == 0:
            _log.warning("%d events were dropped so far: nobody reads them fast enough", self.dropped)
        self._news()

    def take(self) -> FlagEvent | None:
        """Return the oldest event and remove it; None when there is none."""
        with self._lock:
            return self._events.popleft() if self._events else None

    def end(self) -> None:
        """Let nothing more come; what is there can still be taken."""
        self.ended = True
        self._news()
