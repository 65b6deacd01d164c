"""What a manager or a stream says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What keeps the snapshot fresh at this moment, if anything does."""

    #: There is no snapshot yet.
    STARTING = "starting"
    #: The stream is open, the server has greeted, and what is held follows it.
    LIVE = "live"
    #: No stream, but snapshots are asked for at intervals, and the last answer was good.
    POLLING = "polling"
    #: There is a snapshot, and nothing that keeps it fresh works now; it goes on trying.
    STALE = "stale"
    #: The server refuses this client (401, 403, 404, 410); it goes on trying, slowly.
    REJECTED = "rejected"
    #: There is a snapshot, and nothing was asked to keep it fresh.
    OFFLINE = "offline"
    #: `close()` or `disconnect()` was called.
    CLOSED = "closed"


@dataclass(frozen=True)
class Status:
    """The state of a manager at one moment.

    Attributes:
        state: see `State`.
        cursor: what is held, as `<epoch>:<revision>`; None for nothing, or with a plain Flagent server.
        staleness: seconds since what is held was last known to be the server's newest state; None
            while there is nothing.
        last_error: what went wrong last; None since things went well again.
        attempt: failed tries in a row of the stream.
        next_retry: seconds until the stream's next try; None while none is planned.
    """

    state: State
    cursor: str | None = None
    staleness: float | None = None
    last_error: Exception | None = None
    attempt: int = 0
    next_retry: float | None = None
