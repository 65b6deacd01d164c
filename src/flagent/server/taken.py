"""A connection that carries one stream, as its transport and its broadcaster see it."""

from __future__ import annotations

import asyncio
import os

from uvicorn.server import ServerState

from ..wire.encodings import Messages
from . import eager
from .broadcast import Broadcaster
from .eager import Remainder
from .stream import PIECE, Stream

#: Bytes that a client may send into its stream, to which nothing listens, before it is cut.
_MOST_HEARD = 64 << 10


class Taken(asyncio.Protocol):
    """A connection that carries one stream and nothing else: what the transport calls, and the stream's outlet.

    Attributes:
        head: status line and headers, which have to be written first.
        sent: bytes that were handed to the connection.
        server_state: what uvicorn knows of all connections.
        transport: the connection.
    """

    __slots__ = (
        "_broadcaster",
        "_descriptor",
        "_heard",
        "_paused",
        "_stream",
        "_writable",
        "head",
        "sent",
        "server_state",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, server_state: ServerState) -> None:
        self.head = b""
        self.sent = self._heard = 0
        self.server_state = server_state
        self._descriptor: int | None = None
        self._paused = False
        self._writable: asyncio.Future[None] | None = None
        self._stream: Stream | None = None
        self._broadcaster: Broadcaster | None = None

    def take(self, transport: asyncio.Transport, head: bytes, *, paused: bool) -> None:
        """Take a connection, which tells us what happens to it.

        Args:
            transport: the connection.
            head: status line and headers.
            paused: whether it takes nothing at this moment.
        """
        self.transport = transport
        self.head = head
        self._descriptor = _descriptor_of(transport)
        self._paused = paused
        self.server_state.connections.add(self)  # type: ignore[arg-type]

    def carry(self, stream: Stream, broadcaster: Broadcaster) -> None:
        """Tell the broadcaster when the stream's connection is gone."""
        # Paused as long as anything is buffered: what is written to the descriptor would overtake it.
        self.transport.set_write_buffer_limits(high=0)
        self._stream, self._broadcaster = stream, broadcaster

    @property
    def direct(self) -> int | None:
        """The descriptor of the connection, unless something is buffered, or it is no plain socket."""
        return None if self._paused or self.transport.is_closing() else self._descriptor

    def write(self, messages: Messages) -> Remainder | None:
        """Write messages; what the connection does not take waits."""
        body = messages[0] if len(messages) == 1 else b"".join(messages)
        if self._paused or len(body) > PIECE:
            return eager.start(self._write_pieces(body))
        self.sent += len(body)
        self.transport.write(body)
        # The transport may have called `pause_writing` just now.
        return eager.start(self._room()) if self._paused else None  # type: ignore[redundant-expr]

    async def _write_pieces(self, body: bytes) -> None:
        # What the transport has is kept for this connection alone; what is left of the body is shared by all.
        for position in range(0, len(body), PIECE):
            await self._room()
            piece = body[position : position + PIECE]
            self.sent += len(piece)
            self.transport.write(piece)
        await self._room()

    async def _room(self) -> None:
        """Return when the connection takes something again; the broadcaster sees to it that this has an end."""
        while self._paused:
            self._writable = asyncio.get_running_loop().create_future()
            await self._writable

    def finish(self, messages: Messages, reason: str) -> None:  # noqa: ARG002 - the messages say it
        """Write the last messages and end the connection when they are on their way."""
        body = b"".join(messages)
        self.sent += len(body)
        self.transport.write(body)
        self.transport.close()

    def shutdown(self) -> None:
        """End, because uvicorn does: streams were told goodbye before."""
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Pass over what a client says in the middle of its stream."""
        self._heard += len(data)
        if self._heard > _MOST_HEARD:
            self.transport.abort()

    def eof_received(self) -> bool:
        """Take a client that has nothing more to say for one that is gone, as uvicorn does."""
        return False

    def pause_writing(self) -> None:
        """Take no more; called in the middle of a write."""
        self._paused = True

    def resume_writing(self) -> None:
        """Let go on whatever waits."""
        self._paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the connection."""
        self.server_state.connections.discard(self)
        stream, broadcaster = self._stream, self._broadcaster
        # The stream refers to this object, which would have to be collected otherwise.
        self._stream = self._broadcaster = None
        if stream is not None and broadcaster is not None:
            # By TCP_USER_TIMEOUT, which is the time after which we would do it.
            broadcaster.closed(stream, stalled=isinstance(exc, TimeoutError))


def _descriptor_of(transport: asyncio.Transport) -> int | None:
    """Return the descriptor of a connection; None where it can't be written to as it is."""
    if os.name != "posix" or transport.get_extra_info("sslcontext") is not None:
        return None
    connection = transport.get_extra_info("socket")
    descriptor = -1 if connection is None else connection.fileno()
    return None if descriptor < 0 else descriptor
