"""What managers and stream clients say about themselves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..errors import FlagentError


class State(StrEnum):
    """How fresh the flags of a manager are, and why."""

    #: There are no flags yet.
    STARTING = "starting"
    #: The stream is up: every change is applied as it happens.
    LIVE = "live"
    #: No stream is up, but the last poll succeeded.
    POLLING = "polling"
    #: Nothing brings the flags up to date: neither polling nor a stream is enabled.
    STALE = "stale"
    #: The server refuses this client; it is asked again, but seldom.
    REJECTED = "rejected"
    #: The server can't be reached, or does not answer properly; it is tried again.
    OFFLINE = "offline"
    #: The manager was closed.
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True)
class Status:
    """A manager at one moment.

    Attributes:
        state: how fresh its flags are, and why.
        cursor: the server's name for the state that is held; None without flags, and from a plain Flagent server.
        snapshot_age: seconds since the flags were last known to be current; None without flags.
        last_error: what keeps the stream, or polling, from working; None when nothing does.
        attempt: failed attempts in a row to open the stream.
        retry_in: seconds until the next one; None when none is due.
        divergences: how often an update did not lead to what the server has. It must be 0.
    """

    state: State
    cursor: str | None = None
    snapshot_age: float | None = None
    last_error: FlagentError | None = None
    attempt: int = 0
    retry_in: float | None = None
    divergences: int = 0


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
