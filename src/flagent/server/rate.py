"""Limits on how often someone asks: a token bucket for each caller, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

#: Callers that are remembered; the one that was quiet longest is forgotten, which gives it a full bucket.
_MAX_CALLERS = 10_000
#: Seconds' worth of requests that may come at once.
_BURST_SECONDS = 2.0


class RateLimit:
    """Lets each caller make `per_second` requests a second, and two seconds' worth at once.

    Args:
        per_second: requests; 0 for no limit.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._burst = max(1.0, per_second * _BURST_SECONDS)
        # Caller: tokens left, and when they were counted.
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def wait(self, caller: Hashable, now: float) -> float:
        """Take a request into account; return 0 if it may pass, else the seconds after which one may.

        Args:
            caller: who asks.
            now: monotonic time in seconds.
        """
        if not self._per_second:
            return 0.0
        tokens = self._tokens(caller, now)
        passes = tokens >= 1.0
        self._keep(caller, tokens - 1.0 if passes else tokens, now)
        return 0.0 if passes else (1.0 - tokens) / self._per_second

    def spend(self, caller: Hashable, count: int, now: float) -> None:
        """Take requests into account that passed elsewhere; there may have been more than the limit allows."""
        if self._per_second:
            self._keep(caller, max(-self._burst, self._tokens(caller, now) - count), now)

    def _tokens(self, caller: Hashable, now: float) -> float:
        tokens, counted_at = self._buckets.pop(caller, (self._burst, now))
        return min(self._burst, tokens + (now - counted_at) * self._per_second)

    def _keep(self, caller: Hashable, tokens: float, now: float) -> None:
        self._buckets[caller] = (tokens, now)
        if len(self._buckets) > _MAX_CALLERS:
            self._buckets.popitem(last=False)
