"""Streams that have their connection to themselves: it is taken from uvicorn when the stream begins.

For as long as an answer lasts, uvicorn keeps its parser, the scope, a request cycle, an event and a task, about ten
kilobytes, and every event passes three calls and a framing of its own. A stream needs none of that. So when its answer
begins, the transport gets another protocol, `Taken`, to which the broadcaster writes ready-made bytes; the application
returns, and everything that was kept for the request is freed.

An answer that is taken over ends with its connection (RFC 9112, section 6.3): `Connection: close`, and no chunks, which
no reader of a stream needs, HTTP/1.0 does not know, and which would have to be framed for each event.

What this leans on, beyond what asyncio promises of transports and protocols, are parts of uvicorn that have no
documentation; `_USED` lists them. `missing` looks for them once, when the server starts. Under another server, or under
a uvicorn that is not among the `_VERSIONS` this was read against, streams are plain ASGI answers (`EventStreamOutlet`):
`tests/server/test_outlets.py` holds both to the same behaviour. When a new uvicorn comes out, read its
`httptools_impl.py` for the names below, run that test, and raise the bound.

A server that ends (`run`) calls `shutdown` on each of `ServerState.connections`, as uvicorn does. A taken one puts
itself there in place of the one it came from, so it is waited for, counted and cut like all others.
"""

from __future__ import annotations

import asyncio
import logging
import os
from importlib.metadata import version

import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from ..wire.encodings import Messages
from . import asgi, eager
from .arrivals import Arrival
from .broadcast import Broadcaster
from .connection import transport_of
from .eager import Remainder
from .heads import CLOSE, Heads
from .prompt import PromptConnection
from .protocols import Connection
from .stream import PIECE, Stream

_log = logging.getLogger("flagent.server")

#: uvicorns whose code was read: from this one on, and before that one.
_VERSIONS = ((0, 40), (0, 55))
#: Names that the functions of uvicorn have to use, because what is done here and in `prompt` takes the place of what
#: they do there.
_USED = (
    # `disconnected` is how a cycle knows that nobody waits for its answer any more.
    (RequestResponseCycle.run_asgi, {"disconnected", "response_complete", "on_response"}),
    (RequestResponseCycle.send, {"disconnected", "response_started", "response_complete", "keep_alive", "on_response"}),
    # Where `protocols` counts what is written, and by what it tells an application that its client is gone.
    (RequestResponseCycle.send, {"transport", "write"}),
    (RequestResponseCycle.receive, {"disconnected", "message_event"}),
    # How `arrivals` makes one later.
    (HttpToolsProtocol.__init__, {"config", "server_state", "app_state"}),
    (HttpToolsProtocol.__init__, {"parser", "connections", "server_state", "pipeline", "cycle", "flow", "root_path"}),
    (FlowControl.__init__, {"write_paused"}),
    (HttpToolsProtocol.connection_made, {"connections"}),
    (HttpToolsProtocol.connection_lost, {"parser", "connections", "_unset_keepalive_if_required"}),
    (HttpToolsProtocol.data_received, {"_unset_keepalive_if_required", "parser", "feed_data"}),
    (HttpToolsProtocol.on_message_begin, {"url", "headers", "scope", "app_state", "expect_100_continue"}),
    (HttpToolsProtocol.on_header, {"headers", "append", "lower", "expect_100_continue"}),
    (HttpToolsProtocol.on_headers_complete, {"cycle", "pipeline", "url", "scope", "parser", "limit_concurrency"}),
    (HttpToolsProtocol.on_body, {"cycle", "body"}),
    (HttpToolsProtocol.on_message_complete, {"cycle", "more_body"}),
    (HttpToolsProtocol.on_response_complete, {"total_requests", "pipeline", "timeout_keep_alive_task"}),
    (HttpToolsProtocol.shutdown, {"cycle", "response_complete", "keep_alive"}),
    (uvicorn.Server.shutdown, {"connections", "shutdown"}),
)
#: What answers a request in the call that brought it: a connection from its first request on, or before that.
Held = Arrival | PromptConnection
#: Bytes that a client may send into its stream, to which nothing listens, before it is cut.
_MOST_HEARD = 64 << 10


def missing() -> str:
    """Return why connections can't be taken over, in words; empty when they can."""
    release = version("uvicorn")
    number = tuple(int(part) if part.isdigit() else 0 for part in release.split(".")[:2])
    if not _VERSIONS[0] <= number < _VERSIONS[1]:
        return f"uvicorn {release} is not one that this was written for"
    for function, names in _USED:
        absent = names.difference(function.__code__.co_names)
        if absent:
            return f"{function.__qualname__} of uvicorn {release} does not use {', '.join(sorted(absent))}"
    return ""


class Takeover:
    """Takes connections from uvicorn when streams begin on them."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._missing = missing()
        if self._missing:
            _log.warning("streams and evaluations cost more than they need to: %s", self._missing)

    @property
    def possible(self) -> bool:
        """Whether this uvicorn is one of which connections can be taken."""
        return not self._missing

    def stream(self, scope: Scope, headers: tuple[tuple[bytes, bytes], ...]) -> Taken | None:
        """Return the connection of a request whose answer has not begun; None where the answer has to go by ASGI."""
        # Pages of other origins need headers of their own, which are put into an answer on its way by ASGI.
        connection = None if asgi.header(scope, b"origin") else self._protocol(scope)
        if not isinstance(connection, Connection) or connection.transport.is_closing():
            return None
        # Whoever sends a second request before the first is answered is waiting for that answer.
        if connection.cycle.scope is not scope or connection.pipeline:
            return None
        # Neither an answer nor the lack of one is missed when the application returns.
        connection.cycle.disconnected = connection.cycle.response_complete = True
        return self.take(connection, headers)

    def held(self, scope: Scope) -> Held | None:
        """Return the connection of a request that is held back, if it can be taken in the callback of its end."""
        # What pages of other origins ask is never held back.
        connection = self._protocol(scope)
        if not isinstance(connection, Arrival | PromptConnection) or connection.transport.is_closing():
            return None
        return connection if connection.ends_here else None

    def take(self, connection: Connection | Arrival, headers: tuple[tuple[bytes, bytes], ...]) -> Taken:
        """Take a connection for which nobody else has an answer, and return its new form."""
        transport, state = connection.transport, connection.server_state
        state.total_requests += 1
        paused = connection.leave()
        taken = Taken(transport, state, self._heads.of(state, 200, (*headers, CLOSE)), paused=paused)
        transport.set_protocol(taken)
        return taken

    def _protocol(self, scope: Scope) -> asyncio.BaseProtocol | None:
        transport = transport_of(scope)
        return None if self._missing or transport is None else transport.get_protocol()


class Taken(asyncio.Protocol):
    """A connection that carries one stream and nothing else: what the transport calls, and the stream's outlet.

    Attributes:
        head: status line and headers, which have to be written first.
        sent: bytes that were handed to the connection.
        transport: the connection.
    """

    __slots__ = (
        "_broadcaster",
        "_descriptor",
        "_heard",
        "_paused",
        "_state",
        "_stream",
        "_writable",
        "head",
        "sent",
        "transport",
    )

    def __init__(self, transport: asyncio.Transport, state: ServerState, head: bytes, *, paused: bool) -> None:
        self.head = head
        self.sent = 0
        self.transport = transport
        self._descriptor = _descriptor_of(transport)
        self._state = state
        self._paused = paused
        self._heard = 0
        self._writable: asyncio.Future[None] | None = None
        self._stream: Stream | None = None
        self._broadcaster: Broadcaster | None = None
        state.connections.add(self)  # type: ignore[arg-type]

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
        self._state.connections.discard(self)
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
