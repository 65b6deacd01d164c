"""Noticing that the machine was asleep: the clock that programs wait by stood still meanwhile, flags did not."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable

#: Seconds between two looks: what was asleep is found out this soon after it wakes.
LOOK = 5.0
#: Seconds of sleep that count; two clocks are never read at the same moment.
_LEAST = 1.0


def elapsed() -> float:
    """Return seconds that never go back, and go on while the machine sleeps, unlike `time.monotonic`."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        # Python's own does not count sleep there; this one does.
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic()


def awake() -> float:
    """Return seconds that never go back, and do not go on while the machine sleeps."""
    return time.monotonic()


class SleepWatch:
    """Tells when the machine has been asleep.

    Args:
        woke: awaited with the seconds that it slept.
        clock: counts sleep.
        awake: does not.
    """

    def __init__(
        self,
        woke: Callable[[float], Awaitable[None]],
        *,
        clock: Callable[[], float] = elapsed,
        awake: Callable[[], float] = awake,
    ) -> None:
        self._woke = woke
        self._clock = clock
        self._awake = awake

    async def run(self) -> None:
        """Watch, until cancelled."""
        # The clocks above are needed where no event loop is.
        from asyncio import sleep

        slept = self._slept()
        while True:
            await sleep(LOOK)
            before, slept = slept, self._slept()
            if slept - before >= _LEAST:
                await self._woke(slept - before)

    def _slept(self) -> float:
        return self._clock() - self._awake()
