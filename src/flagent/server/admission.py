"""How many streams may be opened in a second: whoever comes too early is given a moment of its own to come back.

Pure: time is an argument. The moments lie one behind the other at the permitted rate, so that those who were sent
away together come back apart, and the last of them as soon as the rate allows.
"""

from __future__ import annotations

from .rate import RateLimit

#: The longest time in seconds after which anybody is asked to come back; clients obey no longer ones.
MAX_WAIT = 300.0


class Admission:
    """Lets `per_second` streams be opened in a second, and two seconds' worth at once.

    Args:
        per_second: streams; 0 for no limit.

    Attributes:
        refused: how many were sent away.
    """

    def __init__(self, per_second: float) -> None:
        self.refused = 0
        self._per_second = per_second
        self._rate = RateLimit(per_second)
        self._last_moment = 0.0

    def wait(self, now: float) -> float:
        """Take a stream into account; return 0 if it may be opened, else after how many seconds to come back."""
        if self._rate.wait(None, now) == 0.0:
            return 0.0
        self.refused += 1
        self._last_moment = min(max(self._last_moment, now) + 1.0 / self._per_second, now + MAX_WAIT)
        return self._last_moment - now
