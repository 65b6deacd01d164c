"""The tasks of a session by their names: each at most once, all of them ended together.

Nothing but its own end or cancelling ends a task: whatever it raises is a fault that nobody foresaw, and it
begins again after a wait.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

from ..wire.backoff import Backoff

_log = logging.getLogger("flagent.client")

#: Bounds in seconds of the wait before a task that failed begins again: of the first one, and of any.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: Seconds without a fault after which waits begin anew.
_STABLE = 60.0

Work = Callable[[], Coroutine[Any, Any, None]]


class Tasks:
    """What runs on an event loop for one session."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def run(self) -> bool:
        """Whether anything is running that has to be ended."""
        return any(not task.done() for task in tuple(self._tasks.values()))

    def start(self, name: str, work: Work) -> None:
        """Begin a task, unless it runs; it begins again when it raises something."""
        if name not in self._tasks or self._tasks[name].done():
            self._tasks[name] = asyncio.get_running_loop().create_task(_kept_up(name, work), name=f"flagent {name}")

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    async def end(self, *names: str) -> None:
        """End these tasks, or all; a task that ends itself is left to do so."""
        ended = [task for name in names or tuple(self._tasks) if (task := self._tasks.pop(name, None)) is not None]
        ended = [task for task in ended if task is not asyncio.current_task()]
        for task in ended:
            task.cancel()
        if ended:
            # Waits for their end without taking over what they raise; each logs that by itself.
            await asyncio.wait(ended)

    def forget(self) -> None:
        """Cancel everything without waiting for it; from any thread."""
        for task in tuple(self._tasks.values()):
            if not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)


async def _kept_up(name: str, work: Work) -> None:
    backoff = Backoff(
        base_delay=FIRST_PAUSE,
        max_delay=LONGEST_PAUSE,
        stable_after=_STABLE,
        random=lambda: random.uniform(0.5, 1.0),  # noqa: S311
    )
    while True:
        began_at = time.monotonic()
        try:
            await work()
            return
        except Exception:  # noqa: BLE001 - a bug, or no memory: it costs a wait, and must not end the updates for good
            _log.exception("%s failed as it never should, and begins again", name)
        now = time.monotonic()
        backoff.healthy_for(now - began_at)
        await asyncio.sleep(backoff.next_delay(now))
