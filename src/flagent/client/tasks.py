"""The tasks of a session by their names: each at most once, all of them ended together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """What runs on an event loop for one session."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def run(self) -> bool:
        """Whether anything is running that has to be ended."""
        return any(not task.done() for task in tuple(self._tasks.values()))

    def start(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin a task, unless it runs."""
        if name not in self._tasks or self._tasks[name].done():
            self._tasks[name] = asyncio.get_running_loop().create_task(work(), name=f"flagent {name}")

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
