"""Telling that flags have become stale: once for each time that they do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .listeners import Listeners
from .replica import Replica

if TYPE_CHECKING:
    from .status import Status

#: Bounds in seconds of the time between two looks: whoever is told shall not be told late, nor a process be kept awake.
_LEAST, _MOST = 0.02, 5.0


class StaleWatch:
    """Whoever wants to know when flags have not been confirmed for too long.

    Args:
        replica: knows how old they are.
        listeners: make the calls.
        status: returns what is told.
    """

    def __init__(self, replica: Replica, listeners: Listeners, status: Callable[[], Status]) -> None:
        self._replica = replica
        self._listeners = listeners
        self._status = status
        self._waiting: tuple[StaleListener, ...] = ()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, callback: Callable[[Status], Any], after: float) -> StaleListener:
        """Tell `callback` whenever flags are `after` seconds old."""
        listener = StaleListener(self, callback, after)
        self._waiting = (*self._waiting, listener)
        return listener

    def take_over(self, other: StaleWatch) -> None:
        """Tell whom another one would have told: that of the parent process."""
        self._waiting = tuple(other.add_to(self))

    def add_to(self, other: StaleWatch) -> list[StaleListener]:
        """Return the listeners, which belong to another watch from now on."""
        for each in self._waiting:
            each.belong(other)
        return list(self._waiting)

    def remove(self, listener: StaleListener) -> None:
        """Tell it no more."""
        self._waiting = tuple(each for each in self._waiting if each is not listener)

    async def run(self) -> None:
        """Watch as long as there is anybody to tell, or until cancelled."""
        # Loaded with the loop that it runs on.
        from asyncio import sleep

        while self._waiting:
            age = self._replica.age()
            for listener in self._waiting:
                listener.look(age, self._listeners, self._status)
            await sleep(self._pause(age))

    def _pause(self, age: float | None) -> float:
        soonest = min((each.after for each in self._waiting), default=_MOST)
        due = min((each.after - age for each in self._waiting if age is not None and not each.told), default=_MOST)
        # Not only until the next is due: what becomes fresh meanwhile has to be seen, too.
        return max(_LEAST, min(due, soonest / 2, _MOST))


class StaleListener:
    """A callback that was added; `remove` it when it is not needed any more.

    Attributes:
        after: seconds after which it is told.
        told: whether it was, since the flags were fresh last.
    """

    def __init__(self, watch: StaleWatch, callback: Callable[[Status], Any], after: float) -> None:
        self.after = after
        self.told = False
        self._watch = watch
        self._callback = callback

    def belong(self, watch: StaleWatch) -> None:
        """Be watched for by another one."""
        self._watch = watch

    def remove(self) -> None:
        """Call it no more; more than once does no harm."""
        self._watch.remove(self)

    def look(self, age: float | None, listeners: Listeners, status: Callable[[], Status]) -> None:
        """Tell it, if it is time and it has not been told."""
        stale = age is not None and age >= self.after
        if stale and not self.told:
            listeners.post(partial(self._callback, status()))
        self.told = stale
