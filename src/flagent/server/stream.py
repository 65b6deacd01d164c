"""One open stream: who reads it, how far they are, and how to write to it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Hashable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, Self

from msgspec import Struct
from starlette.types import Send

from ..core.changes import Cursor
from ..wire.encodings import Messages
from . import eager
from .asgi import address
from .eager import Remainder
from .filters import EVERYTHING, Filter
from .sending import bytes_left

if TYPE_CHECKING:
    from .audience import Audience


class Kind(StrEnum):
    """What a stream carries, and how."""

    SSE = "sse"
    COMPATIBLE = "compatible"
    EVALUATIONS = "evaluations"
    SOCKET = "websocket"
    SOCKET_CHANGES = "websocket-changes"
    SOCKET_EVALUATIONS = "websocket-evaluations"


class Reader(Protocol):
    """What a stream has to say.

    Attributes:
        cursor: where the reader is, by what it was told.
        seen: up to here the changes were looked at; what a filter keeps back moves only this.
        compatible: whether what it gets is held back until bursts are over.
        catch_up: what has to be written before anything else and takes a while; None for nothing.
    """

    cursor: Cursor
    compatible: bool
    catch_up: Callable[[], AsyncIterator[Messages]] | None

    @property
    def seen(self) -> Cursor:
        """Up to here the changes were looked at."""

    @property
    def wanted(self) -> Filter:
        """Which flags it is about."""

    @property
    def alike(self) -> Hashable | None:
        """Equal for readers that are told the same from the same cursor on; None for one that has no equal."""

    def copy(self) -> Self:
        """Return another reader that stands where this one does."""

    def skip(self, cursor: Cursor) -> None:
        """Say that no change up to here was of interest."""

    def news(self) -> Messages:
        """Return what is new to the reader, who is then told."""

    def sign(self) -> Messages:
        """Return a sign of life."""

    def nudge(self) -> Messages:
        """Return what makes the reader load everything anew; it need not, so it may be nothing."""

    def restart(self, reason: str) -> Messages:
        """Return what makes the reader load everything anew."""

    def goodbye(self, reason: str, reconnect_after_ms: int) -> Messages:
        """Return what tells the reader that the stream ends."""


#: Bytes that are handed to a connection at once.
PIECE = 128 << 10


class Outlet(Protocol):
    """How messages get to the far end."""

    @property
    def sent(self) -> int:
        """Bytes that were handed to the connection, without those that went there directly."""

    @property
    def direct(self) -> int | None:
        """The descriptor that a body of at most `PIECE` bytes can be written to as it is; None for no such way.

        It stays so until the outlet has to keep something back, or the connection ends: both part the stream from
        its equals.
        """

    def write(self, messages: Messages) -> Remainder | None:
        """Write messages; return what has to wait because the connection takes nothing, or None."""

    def finish(self, messages: Messages, reason: str) -> Remainder | None:
        """Write the last messages and end; return as `write` does."""


class EventStreamOutlet:
    """The body of an HTTP answer, by way of any server."""

    __slots__ = ("_send", "sent")
    direct = None

    def __init__(self, send: Send) -> None:
        self.sent = 0
        self._send = send

    def write(self, messages: Messages) -> Remainder | None:
        """Write messages."""
        body = messages[0] if len(messages) == 1 else b"".join(messages)
        if len(body) > PIECE:
            return eager.start(self._write_pieces(body))
        self.sent += len(body)
        return eager.start(self._send({"type": "http.response.body", "body": body, "more_body": True}))

    async def _write_pieces(self, body: bytes) -> None:
        # What is handed over is copied, and waits for this connection alone; what is not is shared by all.
        for position in range(0, len(body), PIECE):
            piece = body[position : position + PIECE]
            self.sent += len(piece)
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    def finish(self, messages: Messages, reason: str) -> Remainder | None:  # noqa: ARG002 - the messages say it
        """Write the last messages and end the answer."""
        return eager.start(self._send({"type": "http.response.body", "body": b"".join(messages), "more_body": False}))


class About(Struct, frozen=True):
    """Who reads a stream.

    Attributes:
        kind: what the stream carries.
        client_id: what the client calls itself; empty when it does not.
        agent: its `User-Agent`: an SDK and its version, or a browser.
        address: where the connection comes from; empty where the connection itself is asked when someone wants to know.
        opened_at: when, in milliseconds since 1970.
        key_id: the key that opened it; None for none.
        wanted: which flags it is about.
    """

    kind: Kind
    client_id: str = ""
    agent: str = ""
    address: str = ""
    opened_at: int = 0
    key_id: int | None = None
    wanted: Filter = EVERYTHING


class Stream:
    """What the broadcaster knows of a stream; constant in size, however slow the reader.

    Attributes:
        reader: what there is to say; shared with the others of its audience.
        outlet: how to say it.
        about: to whom.
        owner: the task of the request, which ends when the client hangs up; None when the connection itself tells.
        transport: the connection itself, if the server lets us have it.
        audience: those who are told the same; None for a stream that waits, or has ended.
        direct_bytes: bytes that its audiences wrote to it directly, less those that the present one had counted before.
        number: the broadcaster's name for it.
        ended: nothing is written any more.
        nudge_at: when a compatible stream gets its nudge.
        ends_at: when it has lived long enough.
        due: when the broadcaster looks at it even if nothing changed.
        pending: the write that waits for the connection, or what is catching up.
        stalled_at: since when the connection has taken nothing.
        taken: bytes that it had taken by then.
    """

    __slots__ = (
        "about",
        "audience",
        "direct_bytes",
        "due",
        "ended",
        "ends_at",
        "nudge_at",
        "number",
        "outlet",
        "owner",
        "pending",
        "reader",
        "stalled_at",
        "taken",
        "transport",
    )

    def __init__(
        self,
        reader: Reader,
        outlet: Outlet,
        *,
        owner: asyncio.Task[Any] | None,
        transport: asyncio.WriteTransport | None = None,
        about: About,
    ) -> None:
        if owner is None and transport is None:
            raise ValueError("a stream needs something by which it can be cut")
        self.reader = reader
        self.outlet = outlet
        self.about = about
        self.owner = owner
        self.transport = transport
        self.audience: Audience | None = None
        self.direct_bytes = 0
        self.number = -1
        self.ended = False
        self.nudge_at = math.inf
        self.ends_at = math.inf
        self.due = math.inf
        self.pending: asyncio.Task[None] | None = None
        self.stalled_at = 0.0
        self.taken = 0

    @property
    def address(self) -> str:
        """Where the connection comes from; empty where nobody can tell."""
        if self.about.address or self.transport is None:
            return self.about.address
        client = address(self.transport, "peername")
        return f"{client[0]}:{client[1]}" if client else ""

    @property
    def sent(self) -> int:
        """Bytes that were handed to the connection."""
        audience = self.audience
        counted = audience.written if audience is not None and self in audience.direct else 0
        return self.outlet.sent + self.direct_bytes + counted

    def unsent(self) -> int:
        """Return how many bytes the system has not taken from us yet; 0 when nobody can tell."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def taken_by_now(self) -> int:
        """Return how many bytes the connection has taken; what was handed to it counts when nobody can tell."""
        return self.sent - (0 if self.transport is None else bytes_left(self.transport))

    def abort(self) -> None:
        """Cut the connection without sending what is buffered, which a reader that takes nothing never gets."""
        self.ended = True
        if self.transport is not None:
            self.transport.abort()
        elif self.owner is not None:
            self.owner.cancel()
