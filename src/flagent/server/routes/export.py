"""The snapshot that local evaluators load, and what changed since one that they have."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from ...core.changes import Cursor, Snapshot
from ...wire.codec import View
from .. import asgi
from ..asgi import Answer, Refusal
from ..bodies import Bodies, Form
from ..downloads import Downloads
from ..filters import EVERYTHING, Filter
from ..hub import Hub
from ..negotiation import Coding, Media, coding_of, media_of

PATH = "/api/v1/export/eval_cache/json"

#: Seconds to wait for what another server has already shown to the client.
_CATCH_UP = 1.0
#: How often a body is made anew because the state has moved on meanwhile.
_ROUNDS = 3
#: A cursor of nobody's log.
_UNKNOWN = Cursor("", 0)
#: Requests of those who have the newest snapshot whose answer is kept, and the bytes of what is worth it.
_MOST_WORDS = 256
_MOST_BYTES = 1024


class Words(NamedTuple):
    """All of a request that its answer depends on, in the words of the client.

    Attributes:
        query_string: which flags, and how much of them.
        accept: which media types.
        accept_encoding: which codings.
        held: tags of what the client has.
        of_page: whether a page of another origin asks.
    """

    query_string: bytes
    accept: bytes
    accept_encoding: bytes
    held: bytes
    of_page: bool

    @property
    def wanted(self) -> tuple[bytes, bytes, bytes]:
        """What says which form the body shall have."""
        return self[:3]

    @property
    def are_short(self) -> bool:
        """Whether they are worth to be kept."""
        return sum(map(len, self[:4])) <= _MOST_BYTES


def _words(scope: Scope) -> Words:
    told = asgi.joined(scope).get
    return Words(
        scope["query_string"],
        told(b"accept", b""),
        told(b"accept-encoding", b""),
        told(b"if-none-match", b""),
        bool(told(b"origin")),
    )


class ExportRoute:
    """Answers with snapshots and net changes."""

    def __init__(self, hub: Hub, bodies: Bodies, downloads: Downloads) -> None:
        self._hub = hub
        self._bodies = bodies
        self._downloads = downloads
        # What was said to those who have this snapshot, by the words in which they asked.
        self._held: Snapshot | None = None
        self._unchanged: dict[Words, Answer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Answer | int:
        """Answer a request."""
        unchanged = self.at_once(scope, b"")
        if unchanged is not None:
            return unchanged
        words = asgi.derived(scope, _words)
        with self._downloads:
            return await self._answer(scope, receive, send, _form(*words.wanted), words)

    def at_once(self, scope: Scope, body: bytes) -> Answer | None:  # noqa: ARG002 - as prompt routes are called
        """Answer whoever has the newest snapshot; None for anybody else.

        Raises:
            Refusal: the request is wrong.
        """
        asgi.check_method(scope, "GET", "HEAD")
        words = asgi.derived(scope, _words)
        if not words.held:
            return None
        if self._hub.snapshot is not self._held:
            self._held, self._unchanged = self._hub.snapshot, {}
        answer = self._unchanged.get(words)
        if answer is None:
            answer = _unchanged(self._hub.snapshot, words)
            if answer is not None and words.are_short:
                if len(self._unchanged) >= _MOST_WORDS:
                    self._unchanged.clear()
                self._unchanged[words] = answer
        return answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send, form: Form, words: Words) -> int:
        if form.after is not None and self._hub.is_ahead(form.after):
            try:
                await self._hub.reached(form.after.revision, _CATCH_UP)
            except TimeoutError:
                # Nobody is ever taken back to an older state.
                raise asgi.unavailable("this server is behind the cursor") from None
        for _ in range(_ROUNDS):
            snapshot, body = await self._bodies.newest(form)
            # An event that was sent meanwhile must not be followed by an older snapshot. When writers
            # never pause, what holds is that every event before the request is in it.
            if snapshot is self._hub.snapshot:
                break
        headers = [(b"content-type", form.media.value.encode()), *_common(words)]
        if form.coding is not Coding.IDENTITY:
            headers.append((b"content-encoding", form.coding.value.encode()))
        if form.after is None:
            tag = entity_tag(snapshot, form)
            # The same tag for other bytes must be weak.
            headers.append((b"etag", (tag if form.coding is Coding.IDENTITY else f"W/{tag}").encode()))
        return await self._downloads.send(scope, receive, send, body, *headers)


def _unchanged(snapshot: Snapshot, words: Words) -> Answer | None:
    form = _form(*words.wanted)
    if form.after is not None:
        return None
    tag = entity_tag(snapshot, form)
    if not matches(words.held.decode("latin-1"), tag):
        return None
    return Answer(b"", ((b"etag", tag.encode()), *_common(words)), asgi.NOT_MODIFIED)


def _common(words: Words) -> tuple[tuple[bytes, bytes], ...]:
    # What a page of another origin is answered passes the framework's CORS, which adds this name by itself.
    vary = b"Accept, Accept-Encoding" if words.of_page else b"Accept, Accept-Encoding, Origin"
    return (b"cache-control", b"no-cache"), (b"vary", vary)


# The many clients of one program ask in the same words.
@lru_cache(maxsize=256)
def _form(query_string: bytes, accept: bytes, accept_encoding: bytes) -> Form:
    query = asgi.members(query_string)
    after = asgi.first(query, "after")
    return Form(
        # A net change is for those who keep the full view.
        view=_view(asgi.first(query, "view")) if after is None else View.FULL,
        media=media_of(accept.decode("latin-1")),
        coding=coding_of(accept_encoding.decode("latin-1")),
        wanted=Filter.of(query, any_kind=True),
        after=None if after is None else Cursor.parse(after) or _UNKNOWN,
    )


def entity_tag(snapshot: Snapshot, form: Form) -> str:
    """Return the tag of what a request gets: the cursor, and what tells other forms and selections apart."""
    parts = [str(snapshot.cursor)]
    if form.view is not View.COMPATIBLE:
        parts.append(form.view.value)
    if form.media is not Media.JSON:
        parts.append("msgpack")
    if form.wanted is not EVERYTHING:
        kinds = (form.wanted.keys, form.wanted.ids, form.wanted.tags)
        conditions = [None if kind is None else sorted(map(str, kind)) for kind in kinds]
        parts.append(blake2b(repr(conditions).encode(), digest_size=8).hexdigest())
    return f'"{";".join(parts)}"'


def matches(held: str, tag: str) -> bool:
    """Whether `If-None-Match` names the tag; weak and strong tags compare alike."""
    tags = {each.strip().removeprefix("W/") for each in held.split(",")}
    return "*" in tags or tag in tags


def _view(text: str | None) -> View:
    try:
        return View.COMPATIBLE if text is None else View(text)
    except ValueError:
        raise Refusal(400, f"view: {text!r} is none of {', '.join(View)}") from None
