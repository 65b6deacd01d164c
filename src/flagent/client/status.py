"""What managers and stream clients say about themselves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..errors import FlagentError
from .states import Source, State


@dataclass(frozen=True, kw_only=True)
class Status:
    """A manager at one moment.

    Attributes:
        state: how fresh its flags are, and why.
        since: seconds for which it has been in this state.
        cursor: the server's name for the state that is held; None without flags, and from a plain Flagent server.
        source: where the flags came from last; None without flags.
        staleness: seconds since the flags were last known to be current; None without flags, infinite when they are
            from disk and the clock was ahead when they were kept there.
        staleness_bound: what `staleness` does not exceed while the state lasts, in seconds; None where there is no
            such bound, because nothing works that could keep it.
        last_error: what keeps the stream, or polling, from working; None when nothing does. Its `kind`, if it has
            one, tells more.
        attempt: failed attempts in a row to open the stream.
        retry_in: seconds until the next one; None when none is due.
        advice: what whoever runs this could do about streams that do not last; None where nothing is known to be wrong.
        divergences: how often an update did not lead to what the server has. It must be 0.
        cache_error: why the flags can't be kept on disk; None when they can, or shall not be.
    """

    state: State
    since: float = 0.0
    cursor: str | None = None
    source: Source | None = None
    staleness: float | None = None
    staleness_bound: float | None = None
    last_error: FlagentError | None = None
    attempt: int = 0
    retry_in: float | None = None
    advice: str | None = None
    divergences: int = 0
    cache_error: str | None = None


@dataclass(frozen=True, kw_only=True)
class ManagerStatus:
    """A manager that lets the server evaluate, at one moment; it counts from its making on.

    Attributes:
        hits: evaluations answered from the cache, with an answer that was fresh.
        misses: evaluations that were not; the same ones at the same moment are answered by one request.
        requests: requests that were sent.
        errors: requests that failed.
        stale: evaluations answered with an older result, because the server could not be reached.
        cached: answers that are kept now.
        last_error: why the last request failed; None when it did not.
    """

    hits: int = 0
    misses: int = 0
    requests: int = 0
    errors: int = 0
    stale: int = 0
    cached: int = 0
    last_error: FlagentError | None = None


class ConnectionState(StrEnum):
    """What a stream client is doing."""

    #: It is not connected and does not try: not yet, not any more, or it gave up.
    DISCONNECTED = "disconnected"
    #: It tries to connect.
    CONNECTING = "connecting"
    #: The stream is up.
    CONNECTED = "connected"
    #: The connection was lost, or could not be made; the next try is due soon.
    RECONNECTING = "reconnecting"
