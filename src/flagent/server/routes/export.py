"""The snapshot that local evaluators load, and what changed since one that they have."""

from __future__ import annotations

import asyncio
from hashlib import blake2b

from starlette.types import Receive, Scope, Send

from ...core.changes import Cursor, Snapshot
from ...wire.codec import View, encode_delta, encode_snapshot
from .. import asgi
from ..asgi import JSON, Refusal
from ..bodies import Bodies, Form, by_id, compress
from ..filters import EVERYTHING, Filter
from ..hub import Hub

PATH = "/api/v1/export/eval_cache/json"

#: Seconds to wait for what another server has already shown to the client.
_CATCH_UP = 1.0
#: How often a body is made anew because the state has moved on meanwhile.
_ROUNDS = 3
_COMMON = (JSON, (b"cache-control", b"no-cache"), (b"vary", b"Accept-Encoding"))


class ExportRoute:
    """Answers with snapshots and net changes."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._bodies = Bodies()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            asgi.check_method(scope, "GET", "HEAD")
            query = asgi.query(scope)
            wanted = Filter.of(query, any_kind=True)
            form = Form(_view(asgi.first(query, "view")), accepts_gzip(asgi.header(scope, b"accept-encoding")))
            after = asgi.first(query, "after")
            if after is None:
                await self._answer_snapshot(scope, send, form, wanted)
            else:
                await self._answer_delta(send, after, form._replace(view=View.FULL), wanted)
        except Refusal as refusal:
            await refusal.answer(send)

    async def _answer_snapshot(self, scope: Scope, send: Send, form: Form, wanted: Filter) -> None:
        held = asgi.header(scope, b"if-none-match")
        if held and matches(held, entity_tag(self._hub.snapshot, form.view, wanted)):
            tag = entity_tag(self._hub.snapshot, form.view, wanted)
            headers = [(b"etag", tag.encode()), *_COMMON[1:]]
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        snapshot, body = await self._newest(form, wanted)
        tag = entity_tag(snapshot, form.view, wanted)
        # The same tag for other bytes must be weak.
        await _answer(send, body, form, (b"etag", (f"W/{tag}" if form.gzip else tag).encode()))

    async def _answer_delta(self, send: Send, after: str, form: Form, wanted: Filter) -> None:
        cursor = Cursor.parse(after)
        if cursor is not None and self._hub.is_ahead(cursor):
            try:
                await self._hub.reached(cursor.revision, _CATCH_UP)
            except TimeoutError:
                # Nobody is ever taken back to an older state.
                raise asgi.unavailable("this server is behind the cursor") from None
        delta = None if cursor is None else self._hub.delta(cursor, wanted)
        if delta is not None:
            body = await asyncio.to_thread(encode_delta, delta)
        else:
            _, whole = await self._newest(form._replace(gzip=False), wanted)
            body = b'{"from":null,' + whole[1:]
        await _answer(send, await asyncio.to_thread(compress, body) if form.gzip else body, form)

    async def _newest(self, form: Form, wanted: Filter) -> tuple[Snapshot, bytes]:
        """Return the newest snapshot and its body."""
        for _ in range(_ROUNDS):
            snapshot = self._hub.snapshot
            body = await self._made(snapshot, form, wanted)
            # An event that was sent meanwhile must not be followed by an older snapshot. When writers
            # never pause, what holds is that every event before the request is in it.
            if snapshot is self._hub.snapshot:
                break
        return snapshot, body

    async def _made(self, snapshot: Snapshot, form: Form, wanted: Filter) -> bytes:
        if wanted is EVERYTHING:
            return await self._bodies.body(snapshot, form)
        return await asyncio.to_thread(_selection, snapshot, form, wanted)


def entity_tag(snapshot: Snapshot, view: View, wanted: Filter) -> str:
    """Return the tag of what a request gets: the cursor, and what tells other views and selections apart."""
    parts = [str(snapshot.cursor)]
    if view is not View.COMPATIBLE:
        parts.append(view.value)
    if wanted is not EVERYTHING:
        kinds = (wanted.keys, wanted.ids, wanted.tags)
        conditions = [None if kind is None else sorted(map(str, kind)) for kind in kinds]
        parts.append(blake2b(repr(conditions).encode(), digest_size=8).hexdigest())
    return f'"{";".join(parts)}"'


def matches(held: str, tag: str) -> bool:
    """Whether `If-None-Match` names the tag; weak and strong tags compare alike."""
    tags = {each.strip().removeprefix("W/") for each in held.split(",")}
    return "*" in tags or tag in tags


def accepts_gzip(accepted: str) -> bool:
    """Whether `Accept-Encoding` allows gzip."""
    qualities = {}
    for each in accepted.lower().split(","):
        coding, _, parameter = each.partition(";")
        qualities[coding.strip()] = parameter.replace(" ", "")
    quality = qualities.get("gzip", qualities.get("*", "q=0"))
    return quality.rstrip("0.") != "q=" if quality.startswith("q=") else True


def _view(text: str | None) -> View:
    try:
        return View.COMPATIBLE if text is None else View(text)
    except ValueError:
        raise Refusal(400, f"view: {text!r} is none of {', '.join(View)}") from None


def _selection(snapshot: Snapshot, form: Form, wanted: Filter) -> bytes:
    body = encode_snapshot(snapshot, form.view, by_id(filter(wanted.passes_flag, snapshot.flags.values())))
    return compress(body) if form.gzip else body


async def _answer(send: Send, body: bytes, form: Form, *headers: tuple[bytes, bytes]) -> None:
    encoding = ((b"content-encoding", b"gzip"),) if form.gzip else ()
    await asgi.respond(send, body, *_COMMON, *encoding, *headers)
