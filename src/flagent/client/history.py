"""Since when a manager is in its state, and waiting until it is in another one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from .status import State

_log = logging.getLogger("flagent.client")


class History:
    """The state of a manager over time; a line in the log for each change of it.

    Args:
        root: URL of the server, for the log.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        # One reference, so that any thread sees a state together with its time.
        self._entered = (State.STARTING, time.monotonic())

    def note(self, state: State) -> None:
        """Say which state it is now."""
        before, _ = self._entered
        if state is not before:
            self._entered = (state, time.monotonic())
            _log.info("the flags of %s are %s now, after %s", self._root, state, before)

    def since(self, state: State) -> float:
        """Return for how many seconds it has been in this state; from any thread."""
        entered, at = self._entered
        # A state that nobody has noted yet has only just begun.
        return time.monotonic() - at if entered is state else 0.0


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
