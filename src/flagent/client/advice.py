"""What whoever runs a client could do about streams that do not last: advice, for `status`."""

from __future__ import annotations

import logging
import math

from ..errors import FlagentError, TransportError

_log = logging.getLogger("flagent.client")

#: Streams in a row that have to end alike.
_ENOUGH = 3
#: How far their silences may be apart: as a part of the longest, or in seconds.
_ALIKE, _NEAR = 0.2, 0.1


class Advice:
    """Notices streams that end in silence, each after about the same time: somebody in between cuts what seems idle."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._silences: list[float] = []
        self._began_at: float | None = None
        self._heard_at = -math.inf

    def text(self, now: float, heartbeat: float) -> str | None:
        """Return what to do; None where nothing is known to be wrong, or this stream has outlived two heartbeats."""
        began_at = self._began_at
        return None if began_at is not None and now - began_at > 2 * heartbeat else self._text

    def began(self, now: float) -> None:
        """Note that a stream is live."""
        self._began_at = now

    def heard(self, now: float) -> None:
        """Note that something arrived."""
        self._heard_at = now

    def ended(self, error: FlagentError, now: float, heartbeat: float) -> None:
        """Note the end of a stream, of a server that is silent for `heartbeat` seconds at most."""
        if self.text(now, heartbeat) is None:
            self._text = None
        began_at, self._began_at = self._began_at, None
        silence = now - self._heard_at
        if began_at is None or silence >= heartbeat or not isinstance(error, TransportError) or error.kind != "network":
            return
        self._silences = [*self._silences, silence][-_ENOUGH:]
        longest = max(self._silences)
        alike = longest - min(self._silences) <= max(_ALIKE * longest, _NEAR)
        if len(self._silences) == _ENOUGH and alike and self._text is None:
            self._text = (
                f"streams end after {longest:.1f} s of silence, again and again: a proxy in between seems to cut what "
                f"is idle. Let the server speak more often than every {heartbeat:g} s (FLAGENT_HEARTBEAT), or let the "
                "proxy wait for longer"
            )
            _log.warning("%s", self._text)
