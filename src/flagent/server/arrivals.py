"""Connections until their first request: most become streams, and those need nothing of what uvicorn makes for each.

A connection of uvicorn's has a parser, a constructor of thirty attributes and a timer, all of which are thrown away
when a stream takes it a moment later; that was a fifth of what opening a stream costs. Whoever opens a stream says all
that it ever says in its first bytes. So a connection begins as an `Arrival`, which keeps nothing but its
transport. If its first bytes are one request for a stream, whole and plain, they are read by a parser that all
arrivals share, and the stream takes the connection. For anything else it becomes a `PromptConnection`, which is given
these bytes as if they had come only now.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import httptools
import uvicorn
from starlette.types import Scope
from uvicorn.server import ServerState

from . import protocols
from .asgi import TRANSPORT, Begun
from .prompt import UNUSUAL, PromptConnection

if TYPE_CHECKING:
    from .front import Front

_METHOD = b"GET "
_END_OF_HEAD = b"\r\n\r\n"
#: A query that may ask for changes since a moment, which have to be read by a task.
_REPLAYS = re.compile(rb"(?:^|&)(?:since|[^=&]*%)")


class Arrivals:
    """Makes what stands at the near end of a new connection; in place of a class of protocols, for one server."""

    def __init__(self) -> None:
        self._config: uvicorn.Config | None = None
        self._options: dict[str, Any] = {}
        self._reader = _Reader()
        self._timer: asyncio.TimerHandle | None = None
        # Who has not said anything yet, and since when; the longest first.
        self._silent: dict[Arrival, float] = {}
        self.front: Front | None = None

    def __call__(self, **options: Any) -> asyncio.Protocol:
        """Return the protocol of a new connection; uvicorn says how it is made."""
        config = options["config"]
        if config is not self._config:
            self._config, self._options = config, options
            self._loop: asyncio.AbstractEventLoop = options.get("_loop") or asyncio.get_running_loop()
            if not config.root_path and config.limit_concurrency is None:
                self.front = getattr(config.loaded_app, "front", None)
        return Arrival(self, options["server_state"])

    def begin(self, arrival: Arrival) -> None:
        """Expect something of a client."""
        self._silent[arrival] = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(protocols.REQUEST_TIMEOUT, self._look)

    def end(self, arrival: Arrival) -> None:
        """Expect nothing any more."""
        self._silent.pop(arrival, None)

    def _look(self) -> None:
        """Cut those that have said nothing for too long."""
        self._timer = None
        began = self._loop.time() - protocols.REQUEST_TIMEOUT
        for arrival, since in tuple(self._silent.items()):
            if since > began:
                self._timer = self._loop.call_later(since - began, self._look)
                return
            del self._silent[arrival]
            arrival.transport.abort()

    def connection(self) -> PromptConnection:
        """Return what uvicorn would have made."""
        return PromptConnection(**self._options)

    def read(self, data: bytes, transport: asyncio.Transport) -> Scope | None:
        """Return the scope of a request for a stream, if these bytes are one, and nothing besides."""
        if self.front is None or not data.startswith(_METHOD):
            return None
        path, _, query = data[len(_METHOD) : data.find(b" ", len(_METHOD))].partition(b"?")
        target = self.front.stream_paths.get(path)
        if target is None or b"#" in query or _REPLAYS.search(query):
            return None
        if data.find(_END_OF_HEAD) != len(data) - len(_END_OF_HEAD):
            return None
        headers = self._reader.headers_of(data)
        if headers is None:
            return None
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": None,
            "client": protocols.address(transport, "peername"),
            "scheme": "http",
            "root_path": "",
            "headers": headers,
            "state": {**self._options["app_state"], TRANSPORT: transport},
            "method": "GET",
            "path": target,
            "raw_path": path,
            "query_string": query,
        }


class Arrival(asyncio.Protocol):
    """A connection on which nothing was asked yet.

    Attributes:
        transport: the connection, from `connection_made` on.
        server_state: what uvicorn knows of all connections.
        ends_here: a request comes alone, or the connection would not be an arrival any more.
    """

    __slots__ = ("_arrivals", "server_state", "transport")
    ends_here = True
    transport: asyncio.Transport

    def __init__(self, arrivals: Arrivals, server_state: ServerState) -> None:
        self._arrivals = arrivals
        self.server_state = server_state

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a client to say what it wants."""
        self.transport = transport
        self.server_state.connections.add(self)  # type: ignore[arg-type]
        self._arrivals.begin(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """End with the connection."""
        self.leave()

    def leave(self) -> bool:
        """Let the connection go to another protocol; return whether it takes nothing at this moment."""
        self._arrivals.end(self)
        self.server_state.connections.discard(self)
        return False

    def shutdown(self) -> None:
        """End, because the server does."""
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Begin a stream, or leave the connection to other requests."""
        arrivals, transport = self._arrivals, self.transport
        scope, front = arrivals.read(data, transport), arrivals.front
        answer = None if scope is None or front is None else front.prompt(scope, b"")
        if isinstance(answer, Begun) or transport.get_protocol() is not self:
            return
        self.leave()
        connection = arrivals.connection()
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if answer is None:
            connection.data_received(data)
        else:
            connection.answer(answer)


class _Reader:
    """Reads the heads of requests one after the other; what the parser calls."""

    def __init__(self) -> None:
        self._parser: httptools.HttpRequestParser | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._plain = False
        self._begun = self._complete = 0

    def headers_of(self, data: bytes) -> list[tuple[bytes, bytes]] | None:
        """Return the headers of a request; None if it is not all that is there, or wants something unusual."""
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        self._headers, self._plain, self._begun, self._complete = [], True, 0, 0
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # It is told, and answered, by a parser of its own.
            self._plain = False
        # Not kept: there may be a key in them.
        headers, self._headers = self._headers, []
        if self._plain and self._begun == self._complete == 1:
            return headers
        # There is no other way to make one begin anew.
        self._parser = None
        return None

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._begun += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        name = name.lower()
        if name in UNUSUAL:
            self._plain = False
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """See how the request would be answered."""
        parser = self._parser
        if parser is None or not parser.should_keep_alive() or parser.get_http_version() != "1.1":
            self._plain = False

    def on_message_complete(self) -> None:
        """End a request."""
        self._complete += 1
