"""Waiting until something holds that others bring about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Pulse:
    """Lets coroutines wait for a condition that is looked at whenever something happened."""

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None

    def beat(self) -> None:
        """Let everybody who waits look again; on the event loop."""
        event, self._event = self._event, None
        if event is not None:
            event.set()

    async def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Return whether the condition holds, within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    if self._event is None:
                        self._event = asyncio.Event()
                    await self._event.wait()
        except TimeoutError:
            return condition()
        return True
