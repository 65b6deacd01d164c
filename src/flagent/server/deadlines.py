"""When the broadcaster has to look at which stream, whatever else happens."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping

from .stream import Stream


class Deadlines:
    """Streams by the time at which they are due, soonest first; an entry counts if its stream still says so."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []

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
        stream.due = due
        first = due < self.soonest
        heapq.heappush(self._heap, (due, stream.number))
        return first

    def take(self, now: float, streams: Mapping[int, Stream]) -> list[Stream]:
        """Return those of the open streams that are due; they have to be set anew."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            at, number = heapq.heappop(self._heap)
            stream = streams.get(number)
            if stream is not None and stream.due == at:
                stream.due = math.inf
                due.append(stream)
        return due
