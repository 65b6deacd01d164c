"""The two clocks that messages tell, in milliseconds: that of the day, for people, and one that runs evenly."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Return the time of day in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def clock_ms() -> int:
    """Return the monotonic time of this process in milliseconds: nobody sets it, and it compares to itself only."""
    return int(time.monotonic() * 1000)
