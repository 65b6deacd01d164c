"""How long to wait before the next try: full jitter, two regimes, and what the server asks for.

Pure: chance and time come in as arguments. The count of failures is cleared by a while of health
and not by a connection that opened, because a server that accepts and drops at once would be
hammered otherwise. Nobody waits for longer than the trouble has lasted (but for the base): those that
drew short waits while a server restarted would double theirs beyond the restart itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ..errors import Refused, TransportError

#: Statuses that only a change of key, address or configuration cures: asked again seldom, but for ever.
SLOW_STATUSES = frozenset({204, 401, 403, 404, 405, 407, 410})
#: Kinds of `TransportError` of which the same is true.
_SLOW_KINDS = frozenset({"incompatible", "proxy_auth"})

#: Seconds between tries in the slow regime: the shortest wait, and the longest.
SLOW_BASE = 60.0
SLOW_CAP = 900.0

#: What a server may ask for is obeyed within these bounds, in seconds.
MIN_ASKED = 0.05
MAX_ASKED = 300.0

_MAX_DOUBLINGS = 20


def is_hopeless(error: Exception | None) -> bool:
    """Return whether only a change of key, address or configuration helps."""
    return isinstance(error, Refused) or (isinstance(error, TransportError) and error.kind in _SLOW_KINDS)


class Backoff:
    """Counts failures and draws waits.

    Args:
        base_delay: upper bound of the first wait, in seconds; it doubles with each further failure.
        max_delay: upper bound of any wait in the normal regime, in seconds.
        stable_after: seconds of health that clear the count.
        random: returns a number from 0 up to 1.
    """

    def __init__(
        self, *, base_delay: float, max_delay: float, stable_after: float, random: Callable[[], float]
    ) -> None:
        self.failures = 0
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._stable_after = stable_after
        self._random = random
        self._slow = False
        self._began_at: float | None = None

    def healthy_for(self, seconds: float) -> None:
        """Say that things went well for so long before they failed."""
        if seconds >= self._stable_after:
            self.failures = 0

    def next_delay(
        self, now: float, *, slow: bool = False, asked: float | None = None, base_delay: float | None = None
    ) -> float:
        """Count a failure and return the seconds to wait.

        Args:
            now: monotonic time in seconds.
            slow: whether trying again soon is of no use.
            asked: seconds that the server asked to wait at least.
            base_delay: replaces the base for this and later waits (`retry:` of a stream).
        """
        if slow != self._slow:
            self._slow, self.failures = slow, 0
        if base_delay is not None:
            self._base_delay = clamped(base_delay)
        if self.failures == 0 or self._began_at is None:
            self._began_at = now
        doublings = min(self.failures, _MAX_DOUBLINGS)
        self.failures += 1
        if slow:
            # Never less than the base, and four times an hour in the end: luck would not help a refused client.
            # Those that were refused together have drifted apart by then.
            delay = min(SLOW_CAP, 2 * SLOW_BASE * 2.0**doublings * (0.5 + self._random() / 2))
        else:
            lasted = max(self._base_delay, now - self._began_at)
            delay = min(self._max_delay, self._base_delay * 2.0**doublings, lasted) * self._random()
        if asked is None:
            return delay
        # What is asked for is a lower bound; the jitter on top keeps clients apart that were told the same.
        return max(delay, clamped(asked) * (1 + self._random() / 10))


def clamped(seconds: float) -> float:
    """Return what a server asked for, within the bounds that make sense."""
    return min(max(seconds, MIN_ASKED), MAX_ASKED)


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (RFC 9110, section 10.2.3).

    Args:
        value: a number of seconds or an HTTP date; anything else counts as absent.
        now: the time of day, in seconds since 1970, to which a date is compared.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_ASKED)
    try:
        # Imported for those few who send a date: it costs every program 10 ms.
        from email.utils import parsedate_to_datetime

        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.fromtimestamp(now, UTC)).total_seconds(), 0.0), MAX_ASKED)
