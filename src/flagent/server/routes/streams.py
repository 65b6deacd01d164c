"""The SSE stream: what a request asks for, and the greeting. `Broadcaster` writes everything after it.

A plain ASGI function: middleware that wraps `send` would cost every event of every stream.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from prometheus_client import Counter
from starlette.types import Receive, Scope, Send

from ...core.changes import Cursor, digest_text
from ...wire import codec, sse
from .. import asgi
from ..asgi import TRANSPORT, Refusal
from ..broadcast import Broadcaster
from ..editor import now_ms
from ..filters import Filter
from ..gate import access_of
from ..hub import Bridge, Hub
from ..settings import Settings
from ..stream import Stream

PATHS = ("/api/v1/realtime/sse", "/realtime/sse")

_MESSAGE = "Connected to Flagent realtime updates"
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]
#: How a reader's bridge is called in the greeting: it need not know whether changes come one by one.
_RESUME = {
    Bridge.CURRENT: "current",
    Bridge.CHANGES: "changes",
    Bridge.SYNC: "changes",
    Bridge.RESYNC: "resync",
}
#: The kernel would take megabytes for a client that reads nothing, and so hide that it doesn't.
_SEND_BUFFER = 64 * 1024
#: A cursor of nobody's log.
_UNKNOWN = Cursor("", 0)


class StreamRoute:
    """Opens streams.

    Attributes:
        broadcaster: all that are open.
    """

    def __init__(self, hub: Hub, broadcaster: Broadcaster, settings: Settings, accepts: Counter) -> None:
        self.broadcaster = broadcaster
        self._hub = hub
        self._accepts = accepts
        self._settings = settings
        self._retry = sse.retry(round(settings.retry * 1000))
        self._node = settings.node or socket.gethostname()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; it lasts as long as the stream."""
        try:
            asgi.check_method(scope, "GET", "HEAD")
            if self.broadcaster.draining:
                raise asgi.unavailable("this server is being stopped")
        except Refusal as refusal:
            await refusal.answer(send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream, greeting = self._stream(scope, send)
        try:
            # The broadcaster writes; this task only learns when the client hangs up, and an idle
            # stream has no other way to notice that.
            self.broadcaster.open(stream, greeting)
            while (await receive())["type"] != "http.disconnect":
                pass
        except asyncio.CancelledError:
            # Under a server that hides its connections, this is how the broadcaster ends a stream.
            if not stream.ended:
                raise
            stream.owner.uncancel()
        finally:
            await self.broadcaster.close(stream)

    def _stream(self, scope: Scope, send: Send) -> tuple[Stream, bytes]:
        query = asgi.query(scope)
        wanted = Filter.of(query)
        # A browser reconnects with the address of its first request and the header of its last event.
        text = asgi.header(scope, b"last-event-id") or asgi.first(query, "after") or ""
        known = (Cursor.parse(text) or _UNKNOWN) if text else None
        compatible = ("payload", "flag") not in query
        start = self._hub.cursor if known is None or (compatible and known is _UNKNOWN) else known
        resume = "none" if known is None else _RESUME[self._hub.bridge(known, wanted)]
        self._accepts.labels("compatible" if compatible else resume).inc()
        greeting = self._compatible_greeting() if compatible else self._greeting(resume)
        owner = asyncio.current_task()
        if owner is None:
            raise RuntimeError("a stream must be served by a task")
        transport = _connection(scope)
        stream = Stream(
            start,
            wanted,
            compatible=compatible,
            send=send,
            owner=owner,
            transport=transport,
            key_id=access_of(scope).key_id,
        )
        self._limit(transport)
        return stream, self._retry + greeting

    def _greeting(self, resume: str) -> bytes:
        snapshot = self._hub.snapshot
        connected = codec.Connected(
            message=_MESSAGE,
            timestamp=now_ms(),
            protocol=1,
            revision=str(snapshot.cursor),
            digest=digest_text(snapshot.digest),
            resume=resume,
            heartbeat_ms=round(self._settings.heartbeat * 1000),
            node=self._node,
        )
        return sse.encode(codec.encode_connected(connected), event="connected")

    def _compatible_greeting(self) -> bytes:
        connected = codec.Connected(message=_MESSAGE, timestamp=now_ms())
        return sse.encode(codec.encode_connected(connected), event="connected")

    def _limit(self, transport: asyncio.WriteTransport | None) -> None:
        connection = None if transport is None else transport.get_extra_info("socket")
        if connection is None:
            return
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                # A peer that vanished without a word: its connection ends when it has acknowledged nothing for so long.
                milliseconds = round(self._settings.write_timeout * 1000)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _connection(scope: Scope) -> asyncio.WriteTransport | None:
    """Return the transport, which our own server puts into the scope; others hide it."""
    transport: asyncio.WriteTransport | None = scope.get("state", {}).get(TRANSPORT)
    return transport
