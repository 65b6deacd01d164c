"""The SSE stream of changes: what a request asks for. `Broadcaster` writes everything after the greeting.

A plain ASGI function: middleware that wraps `send` would cost every event of every stream.
"""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from ...errors import StorageUnavailable
from ...wire import sse
from ...wire.encodings import COMPATIBLE, FULL, Messages
from .. import asgi
from ..asgi import Refusal
from ..broadcast import Broadcaster
from ..connection import about, prepare, transport_of
from ..filters import Filter
from ..opening import Opening, Start
from ..settings import Settings
from ..stream import EventStreamOutlet, Kind, Reader, Stream

PATHS = ("/api/v1/realtime/sse", "/realtime/sse")

HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class StreamRoute:
    """Opens streams of changes."""

    def __init__(self, opening: Opening, settings: Settings) -> None:
        self._opening = opening
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; it lasts as long as the stream."""
        query = asgi.query(scope)
        wanted = Filter.of(query)
        encoding = FULL if ("payload", "flag") in query else COMPATIBLE
        try:
            asgi.check_method(scope, "GET", "HEAD")
            self._opening.admit()
            start = Start(wanted, last_event(scope, query), asgi.first(query, "since") or "")
            reader, greeting = await self._opening.changes(start, encoding)
        except StorageUnavailable as exc:
            await asgi.unavailable(str(exc)).answer(send)
            return
        except Refusal as refusal:
            await refusal.answer(send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        kind = Kind.COMPATIBLE if encoding is COMPATIBLE else Kind.SSE
        stream = opened(scope, send, reader, kind, wanted, self._settings)
        await serve(self._opening.broadcaster, stream, (retry(self._settings), *greeting), receive)


def last_event(scope: Scope, query: list[tuple[str, str]]) -> str:
    """Return the cursor that a reader has."""
    # A browser reconnects with the address of its first request and the header of its last event.
    return asgi.header(scope, b"last-event-id") or asgi.first(query, "after") or ""


def retry(settings: Settings) -> bytes:
    """Return how long a client shall wait before it connects again."""
    return sse.retry(round(settings.retry * 1000))


def opened(scope: Scope, send: Send, reader: Reader, kind: Kind, wanted: Filter, settings: Settings) -> Stream:
    """Return the stream of the current request."""
    owner = asyncio.current_task()
    if owner is None:
        raise RuntimeError("a stream must be served by a task")
    transport = transport_of(scope)
    prepare(transport, settings.write_timeout)
    outlet = EventStreamOutlet(send)
    return Stream(reader, outlet, owner=owner, transport=transport, about=about(scope, kind, wanted))


async def serve(broadcaster: Broadcaster, stream: Stream, greeting: Messages, receive: Receive) -> None:
    """Let the broadcaster serve the stream until the client hangs up."""
    try:
        # This task only learns when the client hangs up; an idle stream has no other way to notice that.
        broadcaster.open(stream, greeting)
        while (await receive())["type"] != "http.disconnect":
            pass
    except asyncio.CancelledError:
        # Under a server that hides its connections, this is how the broadcaster ends a stream.
        if not stream.ended:
            raise
        stream.owner.uncancel()
    finally:
        await broadcaster.close(stream)
