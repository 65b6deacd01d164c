"""When the broadcaster has to look at which stream, whatever else happens."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping

from .stream import Stream

#: Streams live for half an hour, most clients not: entries of those that are gone are not kept until they are due.
_MOST_STALE = 0.5


class Deadlines:
    """Streams by the time at which they are due, soonest first; an entry counts if its stream still says so."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._stale = 0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def soonest(self) -> float:
        """When the next stream is due; infinity for none."""
        return self._heap[0][0] if self._heap else math.inf

    def set(self, stream: Stream, due: float) -> bool:
        """Note when a stream is due; return whether that is sooner than all others."""
        if due == stream.due:
            return False
        if stream.due != math.inf:
            self._stale += 1
        stream.due = due
        if due == math.inf:
            return False
        first = due < self.soonest
        heapq.heappush(self._heap, (due, stream.number))
        return first

    def forget(self, stream: Stream, streams: Mapping[int, Stream]) -> None:
        """Let a stream be due no more; `streams` are those that are open."""
        self.set(stream, math.inf)
        if self._stale > _MOST_STALE * len(self._heap):
            self._heap = [entry for entry in self._heap if _counts(entry, streams)]
            heapq.heapify(self._heap)
            self._stale = 0

    def take(self, now: float, streams: Mapping[int, Stream]) -> list[Stream]:
        """Return those of the open streams that are due; they have to be set anew."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            if _counts(entry, streams):
                stream = streams[entry[1]]
                stream.due = math.inf
                due.append(stream)
            else:
                self._stale -= 1
        return due


def _counts(entry: tuple[float, int], streams: Mapping[int, Stream]) -> bool:
    stream = streams.get(entry[1])
    return stream is not None and stream.due == entry[0]
