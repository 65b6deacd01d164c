"""The connection of a stream, read without the layers of the HTTP library.

By way of the library each read enters a scope of cancellation and three translations of exceptions, and tells the
kernel twice whether it wants to hear of the connection: a good part of the time between a change and its evaluation,
for nothing, where a body is simply all that comes until the connection ends. So the transport gets another protocol,
and what arrives is heard in the very call that brings it, without waking a task.

What this leans on has no documentation: how the event loop finds a transport, or the library's stream does where the
loop does not tell (uvloop), and where the protocol that the library uses keeps what it has received. Without either, or
with TLS, reads go the library's way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

from .hearing import Ending, Hear, Left

#: Bytes that are kept while nobody listens; then the connection has to wait.
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
    transport = transport_of(descriptor) or _within(connection, descriptor)
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


def _within(connection: Any, descriptor: int) -> asyncio.Transport | None:
    """Return the transport that the library's stream has, if it is the connection's."""
    transport: Any = getattr(getattr(connection, "_stream", None), "_transport", None)
    if not hasattr(transport, "set_protocol"):
        return None
    opened = transport.get_extra_info("socket")
    found: asyncio.Transport | None = None if opened is None or opened.fileno() != descriptor else transport
    return found


class DirectReader(asyncio.Protocol):
    """Gives what arrives to whoever listens, and keeps it while nobody does.

    Args:
        transport: the connection.
        received: what has arrived already.
        ended: whether nothing more comes.

    Attributes:
        error: what broke the connection, or None.
    """

    def __init__(self, transport: asyncio.Transport, received: Iterable[bytes], *, ended: bool) -> None:
        self.error: Exception | None = None
        self._transport = transport
        self._received = bytearray(b"".join(received))
        self._ended = ended
        self._paused = False
        self._listening: _Listening | None = None

    async def listen(self, hear: Hear, left: Left) -> Ending:
        """Give all that has arrived and arrives to `hear`, as `hearing.hear_piece` does, but without end.

        Raises:
            Exception: what `hear` raised.
        """
        self._listening = listening = _Listening(hear, left)
        try:
            if self._received:
                chunk = bytes(self._received)
                self._received.clear()
                listening.give(chunk)
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            if self._ended:
                listening.end(Ending.ENDED)
            return await listening.over
        finally:
            listening.timer.cancel()
            self._listening = None

    def data_received(self, data: bytes) -> None:
        """Give what arrived to whoever listens, or keep it."""
        if self._listening is not None and not self._listening.over.done():
            self._listening.give(data)
            return
        self._received += data
        if len(self._received) > _MOST:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """End; whoever listens closes the connection."""
        self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """End, with an error if there was one."""
        self.error = exc
        self._end()

    def _end(self) -> None:
        self._ended = True
        if self._listening is not None:
            self._listening.end(Ending.ENDED)


class _Listening:
    """Somebody who listens, and for how long.

    Attributes:
        over: how it ends.
        timer: looks whether it was silent for too long.
    """

    __slots__ = ("_hear", "_left", "_loop", "over", "timer")

    def __init__(self, hear: Hear, left: Left) -> None:
        self._hear = hear
        self._left = left
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[Ending] = self._loop.create_future()
        self.timer = self._loop.call_later(left(), self._look)

    def give(self, chunk: bytes) -> None:
        """Let it be heard."""
        try:
            goes_on = self._hear(chunk)
        except Exception as exc:
            if self.over.done():
                raise
            self.over.set_exception(exc)
            return
        if not goes_on:
            self.end(Ending.ENOUGH)

    def end(self, how: Ending) -> None:
        """Listen no more."""
        if not self.over.done():
            self.over.set_result(how)

    def _look(self) -> None:
        # What is heard gives more time; that is soon enough to see now, and not at each piece.
        left = self._left()
        if left > 0.0:
            self.timer = self._loop.call_later(left, self._look)
        else:
            self.end(Ending.SILENT)
