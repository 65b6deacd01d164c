"""Writing the same bytes to many connections past their transports, which costs little more than the system's write.

Only to connections whose transport has nothing buffered, since what is written here would overtake it, and is not
closed: a descriptor that was closed is soon another connection's. Whoever holds descriptors sees to both. A transport,
of asyncio or uvloop, closes its own in one place only, right after `connection_lost` has returned, which is where
holders let go of it; in the call to `write` nothing is closed, because transports do that from the event loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from os import write

#: Connections that are written to between two looks at the clock.
_AT_ONCE = 25
#: Seconds that these may take, which is a few hundred times what they need, and less than if each was held up.
_HINDERED = 0.1
#: Seconds for which nothing is written here afterwards.
_PAUSE = 5.0


class Descriptors:
    """Writes to descriptors of connections that do not block.

    Each write lets other threads of the process have the interpreter. One that computes and is quick enough to take
    it keeps it for 5 ms (`sys.getswitchinterval`), which would be seconds if it were so for every write. Transports of
    uvloop let nobody have it. So when writing is held up in that way, it is left to them for a while.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Write; `clock` gives seconds that never go back."""
        self._clock = clock
        self._hindered_until = -math.inf

    def write(self, descriptors: Sequence[int], body: bytes) -> dict[int, int | OSError]:
        """Write `body` to each, and return by descriptor what became of those that did not take all of it.

        That is how many bytes it took, which may be none, or why it takes none any more.
        """
        untaken: dict[int, int | OSError] = {}
        size = len(body)
        for first in range(0, len(descriptors), _AT_ONCE):
            began = self._clock()
            if began < self._hindered_until:
                untaken.update(dict.fromkeys(descriptors[first:], 0))
                break
            for descriptor in descriptors[first : first + _AT_ONCE]:
                try:
                    taken = write(descriptor, body)
                except BlockingIOError:
                    untaken[descriptor] = 0
                except OSError as exc:
                    untaken[descriptor] = exc
                else:
                    if taken != size:
                        untaken[descriptor] = taken
            if self._clock() - began > _HINDERED:
                self._hindered_until = self._clock() + _PAUSE
        return untaken
