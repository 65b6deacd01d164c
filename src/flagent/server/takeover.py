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
from importlib.metadata import version

import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from . import asgi
from .arrivals import Arrival
from .connection import transport_of
from .heads import CLOSE, Heads
from .prompt import PromptConnection
from .protocols import Connection
from .taken import Taken

_log = logging.getLogger("flagent.server")

#: uvicorns whose code was read: from this one on, and before that one.
_VERSIONS = ((0, 53), (0, 55))
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
        if isinstance(connection, Arrival):
            # To give a transport another protocol makes uvloop ask the kernel twice for what it is told already.
            taken: Taken = connection
        else:
            taken = Taken(state)
            transport.set_protocol(taken)
        taken.take(transport, self._heads.of(state, 200, (*headers, CLOSE)), paused=paused)
        return taken

    def _protocol(self, scope: Scope) -> asyncio.BaseProtocol | None:
        transport = transport_of(scope)
        return None if self._missing or transport is None else transport.get_protocol()
