"""An event loop whose time passes only when there is nothing left to do at a moment."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

from flagent.client.suspension import SleepWatch

_T = TypeVar("_T")

#: Where the SDK does blocking work in threads: here it is done at once, since no time passes meanwhile.
_THREADS = ("origins", "saving", "first", "api_keys")


class Stuck(AssertionError):
    """Something waits for what can't happen any more."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Goes from one timer to the next without waiting.

    Attributes:
        wall: what the clock of the day is ahead of this one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wall = 1.7e9
        self._now = 1000.0
        # `BaseEventLoop` asks it for events, and how long to wait for them.
        self._selector = self

    def time(self) -> float:
        """Return the time."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Let the time pass until the next timer."""
        if timeout is None:
            raise Stuck("everybody waits, and no timer is set")
        self._now += timeout
        return []

    def _process_events(self, events: list[Any]) -> None:
        """Do nothing: there are no events but timers."""

    def _write_to_self(self) -> None:
        """Do nothing: there are no other threads."""


async def _at_once(_name: str, work: Callable[[], _T]) -> _T:
    # Others have a turn, as with a real thread.
    await asyncio.sleep(0)
    return work()


def _watch_of(loop: VirtualLoop) -> Callable[..., SleepWatch]:
    return lambda woke: SleepWatch(woke, clock=loop.time, awake=loop.time)


@contextmanager
def virtual_time(seed: int) -> Iterator[VirtualLoop]:
    """Let everything in here go by the time of the loop, and by chance that the seed decides."""
    loop = VirtualLoop()
    state, level = random.getstate(), logging.root.manager.disable
    with ExitStack() as stack:
        stack.enter_context(patch.object(time, "monotonic", loop.time))
        stack.enter_context(patch.object(time, "time", lambda: loop.time() + loop.wall))
        stack.enter_context(patch.object(time, "clock_gettime", lambda _clock: loop.time()))
        # Made with the clocks of the machine, which does not sleep here.
        stack.enter_context(patch("flagent.client.session.SleepWatch", _watch_of(loop)))
        for module in _THREADS:
            stack.enter_context(patch(f"flagent.client.{module}.in_daemon_thread", _at_once))
        # Nobody reads what is logged, and writing it takes half of the time.
        logging.disable(logging.CRITICAL)
        random.seed(seed)
        try:
            yield loop
        finally:
            random.setstate(state)
            logging.disable(level)
            loop.close()
