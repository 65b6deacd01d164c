"""uvicorn's connections, which wait for no client for ever: neither for the rest of a request, nor to take an answer.

Streams and downloads have limits of their own while they are written. What is left here are the requests that
never come to their end, and the last bytes of an answer, which would keep a connection and its memory until the
client goes away.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .asgi import TRANSPORT, address
from .sending import bytes_left

#: Seconds from the first byte of a request, or from the beginning of the connection, to the last byte.
REQUEST_TIMEOUT = 60.0
#: Seconds after which answers that are complete must have got further on their way.
LINGER = 10.0
#: Whether there is nothing in the beginning of uvicorn's connections but what was there when it was read.
_BEGINS_AS_KNOWN = {
    *("connections", "add", "transport", "FlowControl", "flow", "scheme", "is_ssl"),
    *("get_local_addr", "server", "get_remote_addr", "client"),
    *("logger", "level", "TRACE_LOG_LEVEL", "log"),
}.issuperset(HttpToolsProtocol.connection_made.__code__.co_names)


class Connection(HttpToolsProtocol):
    """uvicorn's connection, which lets the routes see its transport: a stream that stalls has to be cut."""

    # Whether a request is expected to go on; uvicorn's own constructor is left alone.
    _incomplete = True
    _request_limit: asyncio.TimerHandle | None = None
    _lingering: asyncio.TimerHandle | None = None
    # What uvicorn writes to; None while it has answered nothing.
    _counted: _Counted | None = None
    # Whose answer is under way while others wait for theirs; uvicorn knows the last one only.
    _served: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to serve a client."""
        if _BEGINS_AS_KNOWN:
            # In uvicorn's place, where uvloop makes several socket objects to tell two addresses.
            self.connections.add(self)
            self.transport = transport
            self.flow = FlowControl(transport)
            self.server = address(transport, "sockname")
            self.client = address(transport, "peername")
            self.scheme = "http"
        else:
            super().connection_made(transport)
        # What uvicorn copies into the `state` of the scope of every request of this connection.
        self.app_state = {**self.app_state, TRANSPORT: transport}
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the connection."""
        for timer in (self._request_limit, self._lingering):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        served, self._served = self._served, None
        if served is not None and not served.response_complete:
            # Uvicorn would let its application wait for ever.
            served.disconnected = True
            served.message_event.set()

    def leave(self) -> bool:
        """Let the connection go to another protocol; return whether it takes nothing at this moment."""
        for timer in (self._request_limit, self._lingering):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self.connections.discard(self)
        # Parser and protocol refer to each other, which only the collector would find out. A parser that calls us at
        # this moment is kept by its caller.
        self.parser = None  # type: ignore[assignment]
        return self.flow.write_paused

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request; nearly always it is all of one."""
        super().data_received(data)
        self._limit_request()

    def _limit_request(self) -> None:
        """Wait for what is left of a request, for so long and no longer."""
        if self._incomplete and self._request_limit is None:
            self._expect()
        elif not self._incomplete and self._request_limit is not None:
            self._request_limit.cancel()
            self._request_limit = None

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._incomplete = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """End a request; also the one that becomes a WebSocket."""
        self._incomplete = False
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        """Begin to answer, and count what is written."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            if len(self.pipeline) == 1:
                self._served = before
            if self._counted is None:
                self._counted = _Counted(self.transport)
            self.cycle.transport = self._counted  # type: ignore[assignment]

    def on_response_complete(self) -> None:
        """See that the client takes what is still on its way."""
        self._served = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self._lingering is None and self.transport.get_write_buffer_size():
            self._linger()

    def _expect(self) -> None:
        self._request_limit = self.loop.call_later(REQUEST_TIMEOUT, self.transport.abort)

    def _linger(self, owed: int | None = None) -> None:
        """Look later whether the client takes what it is `owed`; without a number that is all that is on its way."""
        left = bytes_left(self.transport)
        # An answer that is written meanwhile adds to what is left, and must not hide what was taken.
        self._lingering = self.loop.call_later(
            LINGER, self._judge, self._written() - left, left if owed is None else owed
        )

    def _judge(self, taken_before: int, owed: int) -> None:
        self._lingering = None
        transport = self.transport
        if transport.get_protocol() is not self or not transport.get_write_buffer_size():
            return
        taken = self._written() - bytes_left(transport) - taken_before
        if taken <= 0:
            transport.abort()
        elif taken < owed:
            self._linger(owed - taken)
        elif self._is_answered():
            self._linger()
        # What is left is of an answer that is under way. A download has a limit of its own, and anything else lingers
        # when it is complete.

    def _written(self) -> int:
        return 0 if self._counted is None else self._counted.written

    def _is_answered(self) -> bool:
        """Whether uvicorn has answered all that it was given."""
        cycle = self.cycle
        return cycle is None or (cycle.response_complete and not self.pipeline)  # type: ignore[redundant-expr]


class _Counted:
    """A transport as uvicorn writes to it; what was written is counted."""

    __slots__ = ("_transport", "written")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.written = 0
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Write bytes."""
        self.written += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class SocketConnection(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which takes a handshake that the application refused for one that it forgot."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # At this level the library logs every header, and keys are in some of them.
        self.conn.debug = False
        self.took_nothing = False

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the connection; by TCP_USER_TIMEOUT if the other end took nothing."""
        self.took_nothing = isinstance(exc, TimeoutError)
        super().connection_lost(exc)

    async def send(self, message: Any) -> None:
        """Send a message."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True
