"""Connections until their first request: most become streams, and those need nothing of what uvicorn makes for each.

A connection of uvicorn's has a parser, a constructor of thirty attributes and a timer, all of which are thrown away
when a stream takes it a moment later; that was a fifth of what opening a stream costs. Whoever opens a stream says all
that it ever says in its first bytes. So a connection begins as an `Arrival`, which keeps nothing but its
transport. If its first bytes are one request for a stream, whole and plain, they are read by a parser that all
arrivals share, and the arrival carries that stream. For anything else a `PromptConnection` takes its place, which is
given these bytes as if they had come only now.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import httptools
import uvicorn
from uvicorn.server import ServerState

from . import protocols
from .asgi import TRANSPORT, Answer, Begun
from .known import Head
from .prompt import UNUSUAL, PromptConnection
from .taken import Taken

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

    def answer(self, data: bytes, transport: asyncio.Transport) -> Answer | Begun | None:
        """Answer a request for a stream, if these bytes are one, and nothing besides; None for all others."""
        front = self.front
        if front is None or not data.startswith(_METHOD):
            return None
        known = front.known.find(data)
        head = self._head_of(front, data) if known is None else known[0]
        if head is None or head.raw_path not in front.stream_paths:
            return None
        scope = head.scope({**self._options["app_state"], TRANSPORT: transport})
        answer = front.prompt(scope, b"")
        if known is None and answer is not None:
            front.known.learn(data, scope, 0, answer)
        return answer

    def _head_of(self, front: Front, data: bytes) -> Head | None:
        path, _, query = data[len(_METHOD) : data.find(b" ", len(_METHOD))].partition(b"?")
        target = front.stream_paths.get(path)
        if target is None or b"#" in query or _REPLAYS.search(query):
            return None
        if data.find(_END_OF_HEAD) != len(data) - len(_END_OF_HEAD):
            return None
        headers = self._reader.headers_of(data)
        return None if headers is None else Head("GET", target, path, query, headers)


class Arrival(Taken):
    """A connection on which nothing was asked yet; if it is a stream that is asked for, it carries that.

    Attributes:
        ends_here: a request comes alone, or the connection would not be an arrival any more.
    """

    __slots__ = ("_arrivals",)
    ends_here = True

    def __init__(self, arrivals: Arrivals, server_state: ServerState) -> None:
        super().__init__(server_state)
        # None for one that is no arrival any more.
        self._arrivals: Arrivals | None = arrivals

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a client to say what it wants."""
        self.transport = transport
        self.server_state.connections.add(self)  # type: ignore[arg-type]
        if self._arrivals is not None:
            self._arrivals.begin(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the connection."""
        self.leave()
        super().connection_lost(exc)

    def leave(self) -> bool:
        """Be no arrival any more; return whether the connection takes nothing at this moment."""
        arrivals, self._arrivals = self._arrivals, None
        if arrivals is not None:
            arrivals.end(self)
        return self._paused

    def data_received(self, data: bytes) -> None:
        """Begin a stream, or leave the connection to other requests."""
        arrivals, transport = self._arrivals, self.transport
        if arrivals is None:
            super().data_received(data)
            return
        answer = arrivals.answer(data, transport)
        if self._arrivals is None:
            # A stream has begun.
            return
        self.leave()
        self.server_state.connections.discard(self)
        connection = arrivals.connection()
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if isinstance(answer, Answer):
            connection.answer(answer)
        else:
            connection.data_received(data)


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
