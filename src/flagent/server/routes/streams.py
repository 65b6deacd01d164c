"""The SSE stream of changes: what a request asks for. `Broadcaster` writes everything after the greeting.

A plain ASGI function: middleware that wraps `send` would cost every event of every stream.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from ...errors import StorageUnavailable
from ...wire import sse
from ...wire.encodings import COMPATIBLE, FULL, Encoding, Messages
from .. import asgi
from ..asgi import Answer, Begun, Refusal
from ..broadcast import Broadcaster
from ..connection import about, current_task, prepare, transport_of
from ..filters import Filter
from ..opening import Opening, Start
from ..settings import Settings
from ..stream import About, EventStreamOutlet, Kind, Reader, Stream
from ..taken import Taken
from ..takeover import Held, Takeover

PATHS = ("/api/v1/realtime/sse", "/realtime/sse")

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
)
#: Bytes of a query string that is worth remembering; the others are seldom asked again, and could be kilobytes.
_SHORT = 200


class StreamRoute:
    """Opens streams of changes."""

    def __init__(self, opening: Opening, event_streams: EventStreams) -> None:
        self._opening = opening
        self._event_streams = event_streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """Answer a request with a stream."""
        asked = asgi.derived(scope, asked_by)
        try:
            asgi.check_method(scope, "GET", "HEAD")
            self._opening.admit()
            reader, greeting = await self._opening.changes(asked.start, asked.encoding)
        except StorageUnavailable as exc:
            return asgi.unavailable(str(exc)).answer
        except Refusal as refusal:
            return refusal.answer
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await send({"type": "http.response.body", "body": b""})
            return None
        await self._event_streams.begin(scope, receive, send, reader, asked.kind, greeting)
        return None

    def at_once(self, scope: Scope, _body: bytes) -> Answer | Begun | None:
        """Begin the stream in the middle of a callback; None if that has to wait, or it is no such stream.

        Raises:
            Refusal: as by a task.
        """
        asked, connection = asgi.derived(scope, asked_by), self._event_streams.held(scope)
        if connection is None or scope["method"] != "GET" or asked.start.replays:
            return None
        self._opening.admit()
        reader, greeting = self._opening.resumed(asked.start, asked.encoding)
        return self._event_streams.begin_at_once(connection, scope, reader, asked.kind, greeting)


class Asked(NamedTuple):
    """What a request asks for: where to start, and how it wants to be told."""

    start: Start
    encoding: Encoding

    @property
    def kind(self) -> Kind:
        """What the stream carries."""
        return Kind.COMPATIBLE if self.encoding is COMPATIBLE else Kind.SSE


def asked_by(scope: Scope) -> Asked:
    """Return what a request asks for."""
    query_string = scope["query_string"]
    asked = _asked(query_string) if len(query_string) <= _SHORT else _asked.__wrapped__(query_string)
    # A browser reconnects with the address of its first request and the header of its last event.
    last_event = asgi.header(scope, b"last-event-id")
    return asked._replace(start=asked.start._replace(after=last_event)) if last_event else asked


# Most clients ask for the same, and then their streams share the filter, too.
@lru_cache(maxsize=256)
def _asked(query_string: bytes) -> Asked:
    query = asgi.members(query_string)
    after, since = (asgi.first(query, name) or "" for name in ("after", "since"))
    encoding = FULL if ("payload", "flag") in query else COMPATIBLE
    return Asked(Start(Filter.of(query), after, since), encoding)


class EventStreams:
    """Answers with streams, which the broadcaster writes from then on."""

    def __init__(self, broadcaster: Broadcaster, takeover: Takeover, settings: Settings) -> None:
        self._broadcaster = broadcaster
        self._takeover = takeover
        self._settings = settings
        # How long a client shall wait before it connects again.
        self._retry = sse.retry(round(settings.retry * 1000))

    async def begin(
        self, scope: Scope, receive: Receive, send: Send, reader: Reader, kind: Kind, greeting: Messages
    ) -> None:
        """Answer a request; where the connection can't be taken over, it lasts as long as the stream."""
        opener = about(scope, kind, reader.wanted)
        prepare(transport_of(scope), self._settings.write_timeout)
        taken = self._takeover.stream(scope, HEADERS)
        if taken is not None:
            self._carry(taken, reader, opener, greeting)
            return
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        outlet = EventStreamOutlet(send)
        stream = Stream(reader, outlet, owner=current_task(), transport=transport_of(scope), about=opener)
        await serve(self._broadcaster, stream, (self._retry, *greeting), receive)

    def held(self, scope: Scope) -> Held | None:
        """Return the connection on which `begin_at_once` can answer a request, if it can."""
        return self._takeover.held(scope)

    def begin_at_once(self, connection: Held, scope: Scope, reader: Reader, kind: Kind, greeting: Messages) -> Begun:
        """Answer a request in the callback that brought its end."""
        opener = about(scope, kind, reader.wanted)
        prepare(connection.transport, self._settings.write_timeout)
        self._carry(self._takeover.take(connection, HEADERS), reader, opener, greeting)
        return Begun.STREAM

    def _carry(self, taken: Taken, reader: Reader, opener: About, greeting: Messages) -> None:
        stream = Stream(reader, taken, owner=None, transport=taken.transport, about=opener)
        taken.carry(stream, self._broadcaster)
        try:
            self._broadcaster.open(stream, (taken.head, self._retry, *greeting))
        except BaseException:
            # Nobody else ends it, and it is no place for an answer that says what happened.
            taken.transport.abort()
            raise


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
        current_task().uncancel()
    finally:
        await broadcaster.close(stream)
