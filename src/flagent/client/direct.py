"""The connection of a stream, read without the layers of the HTTP library.

By way of the library each read enters a scope of cancellation and three translations of exceptions, and tells the
kernel twice whether it wants to hear of the connection: a good part of the time between a change and its evaluation,
for nothing, where a body is simply all that comes until the connection ends. So the transport gets another protocol.

What this leans on has no documentation: how the event loop finds a transport, and where the protocol that the library
uses keeps what it has received. Without either, or with TLS, reads go the library's way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

#: Bytes that are kept for a reader that does not come; then the connection has to wait.
_MOST = 256 * 1024


def transport_of(descriptor: int) -> asyncio.Transport | None:
    """Return the running event loop's transport of a connection; None if it does not tell."""
    # asyncio has no name for it that is public.
    transport: asyncio.Transport | None = getattr(asyncio.get_running_loop(), "_transports", {}).get(descriptor)
    return transport


def take(connection: Any, descriptor: int) -> DirectReader | None:
    """Take a connection from the library; None where that can't be.

    Args:
        connection: as the library has it.
        descriptor: of its socket; -1 when it is closed or hidden.
    """
    transport = transport_of(descriptor)
    if transport is None or transport.is_closing() or connection.get_extra_info("ssl_object") is not None:
        return None
    protocol: Any = transport.get_protocol()
    received = getattr(protocol, "read_queue", None)
    if not isinstance(received, deque) or not hasattr(protocol, "is_at_eof"):
        return None
    reader = DirectReader(transport, received, ended=protocol.is_at_eof)
    transport.set_protocol(reader)
    # The library reads only while somebody waits.
    transport.resume_reading()
    return reader


class DirectReader(asyncio.Protocol):
    """Keeps what arrives until it is read.

    Args:
        transport: the connection.
        received: what has arrived already.
        ended: whether nothing more comes.
    """

    def __init__(self, transport: asyncio.Transport, received: Iterable[bytes], *, ended: bool) -> None:
        self._transport = transport
        self._received = bytearray(b"".join(received))
        self._ended = ended
        self._paused = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """Return what has arrived, and wait until something has; empty at the end.

        Raises:
            OSError: the connection broke.
        """
        while not self._received:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        chunk = bytes(self._received)
        self._received.clear()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return chunk

    def data_received(self, data: bytes) -> None:
        """Keep what arrived."""
        self._received += data
        if len(self._received) > _MOST:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """End; whoever reads closes the connection."""
        self._ended = True
        self._wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """End, with an error if there was one."""
        self._ended, self._error = True, exc
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
