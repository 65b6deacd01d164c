"""How fresh the flags of a manager are, and where they came from, in one word each."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """How fresh the flags of a manager are, and why."""

    #: There are no flags yet.
    STARTING = "starting"
    #: The stream is up: every change is applied as it happens. Also of flags that the program itself has given.
    LIVE = "live"
    #: No stream is up, but the last poll succeeded.
    POLLING = "polling"
    #: Nothing brings the flags up to date, or nothing has yet: neither polling nor a stream is enabled, or they are
    #: from disk and the server has not answered so far.
    STALE = "stale"
    #: The server refuses this client; it is asked again, but seldom.
    REJECTED = "rejected"
    #: The server can't be reached, or does not answer properly; it is tried again.
    OFFLINE = "offline"
    #: The manager was closed.
    CLOSED = "closed"


class Source(StrEnum):
    """Where the flags that are held came from last."""

    #: The disk, where the last good snapshot of an earlier process was.
    DISK = "disk"
    #: The first snapshot, by GET.
    BOOTSTRAP = "bootstrap"
    #: The stream: a change of it was applied, or it said that nothing changed.
    STREAM = "stream"
    #: A later snapshot, by GET.
    POLL = "poll"
