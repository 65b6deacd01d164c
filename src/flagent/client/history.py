"""Since when a manager is in its state."""

from __future__ import annotations

import time

from .logger import logger
from .states import State


class History:
    """The state of a manager over time; a line in the log for each change of it.

    Args:
        root: URL of the server, for the log.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        # One reference, so that any thread sees a state together with its time.
        self._entered = (State.STARTING, time.monotonic())

    def note(self, state: State, *, logged: bool) -> None:
        """Say which state it is now, and whether to log that it is another one."""
        before, _ = self._entered
        if state is not before:
            self._entered = (state, time.monotonic())
            if logged:
                logger().info("the flags of %s are %s now, after %s", self._root, state, before)

    def since(self, state: State) -> float:
        """Return for how many seconds it has been in this state; from any thread."""
        entered, at = self._entered
        # A state that nobody has noted yet has only just begun.
        return time.monotonic() - at if entered is state else 0.0
