"""The SSE stream for one entity: its results, and nothing from which a rule could be read."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace
from starlette.types import Receive, Scope, Send

from ...wire.encodings import FULL
from .. import asgi
from ..asgi import Answer, Begun, Refusal
from ..gate import access_of
from ..opening import Opening
from ..settings import Settings
from ..stream import Kind
from ..watching import Watch, Watching
from .streams import EventStreams

PATHS = ("/api/v1/realtime/evaluations", "/realtime/evaluations")


class EntityStreamRoute:
    """Opens streams for one entity each."""

    def __init__(self, opening: Opening, watching: Watching, event_streams: EventStreams, settings: Settings) -> None:
        self._opening = opening
        self._event_streams = event_streams
        self._watching = watching
        self._settings = settings
        self._decoder = msgspec.json.Decoder(Watch)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """Answer a request with a stream."""
        try:
            asgi.check_method(scope, "GET", "POST")
            self._opening.admit()
            body = await self._body(scope, receive)
            watch = self._watch(scope, body)
            reader, greeting = self._watching.entity(watch, access_of(scope), FULL)
        except Refusal as refusal:
            return refusal.answer
        await self._event_streams.begin(scope, receive, send, reader, Kind.EVALUATIONS, greeting)
        return None

    def at_once(self, scope: Scope, body: bytes) -> Answer | Begun | None:
        """Begin the stream in the middle of a callback; None if it takes a task.

        Raises:
            Refusal: as by a task.
        """
        connection = self._event_streams.held(scope)
        if connection is None:
            return None
        self._opening.admit()
        asgi.check_size(body, self._settings.max_body_bytes)
        reader, greeting = self._watching.entity(self._watch(scope, body), access_of(scope), FULL)
        return self._event_streams.begin_at_once(connection, scope, reader, Kind.EVALUATIONS, greeting)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        return await asgi.read_body(receive, self._settings.max_body_bytes) if scope["method"] == "POST" else b""

    def _watch(self, scope: Scope, body: bytes) -> Watch:
        if scope["method"] == "POST":
            watch = asgi.decoded("body", body, self._decoder)
        else:
            watch = Watch.of_query(asgi.query(scope))
        resumed = asgi.header(scope, b"last-event-id")
        return replace(watch, after=resumed) if resumed else watch
