"""One open stream: how far its reader has read, what it wants, and how to write to it."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from starlette.types import Send

from ..core.changes import Cursor
from .filters import Filter


class Stream:
    """What the broadcaster knows of a stream; constant in size, however slow the reader.

    Attributes:
        cursor: where the reader is, by what it was told.
        seen: up to here the changes were looked at; those after `cursor` did not pass the filter.
        wanted: which changes the reader asked for.
        compatible: the reader is one of Flagent's own clients.
        send: ASGI's way to write; it waits while the connection takes nothing.
        transport: the connection itself, if the server lets us have it.
        owner: the task of the request, which ends when the client hangs up.
        key_id: the key that opened it; None for none.
        number: the broadcaster's name for it.
        ended: nothing is written any more.
        written_at: when something was written last.
        nudge_at: when a compatible stream gets its nudge.
        due: when the broadcaster looks at it even if nothing changed.
        pending: the write that waits for the connection.
        stalled_at: since when the connection has taken nothing.
        unsent: bytes that were waiting for it then.
    """

    __slots__ = (
        "compatible",
        "cursor",
        "due",
        "ended",
        "key_id",
        "nudge_at",
        "number",
        "owner",
        "pending",
        "seen",
        "send",
        "stalled_at",
        "transport",
        "unsent",
        "wanted",
        "written_at",
    )

    def __init__(
        self,
        cursor: Cursor,
        wanted: Filter,
        *,
        compatible: bool,
        send: Send,
        owner: asyncio.Task[Any],
        transport: asyncio.WriteTransport | None = None,
        key_id: int | None = None,
    ) -> None:
        self.cursor = self.seen = cursor
        self.wanted = wanted
        self.compatible = compatible
        self.send = send
        self.transport = transport
        self.owner = owner
        self.key_id = key_id
        self.number = -1
        self.ended = False
        self.written_at = 0.0
        self.nudge_at = math.inf
        self.due = math.inf
        self.pending: asyncio.Task[None] | None = None
        self.stalled_at = 0.0
        self.unsent = 0

    def buffered(self) -> int:
        """Return how many bytes wait for the connection; 0 when that can't be known."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Cut the connection without sending what is buffered, which a reader that takes nothing never gets."""
        self.ended = True
        if self.transport is not None:
            self.transport.abort()
        else:
            self.owner.cancel()
