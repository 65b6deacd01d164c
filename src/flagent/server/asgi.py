"""Requests and answers of the hot routes, which are plain ASGI functions: a framework would double their cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

T = TypeVar("T")


JSON = (b"content-type", b"application/json")
#: The status of an answer that has no body, and tells the length of none.
NOT_MODIFIED = 304
#: Where our own server puts a request's connection in the `state` of its scope.
TRANSPORT = "flagent.transport"
#: Where a request, whose head others had before it and will have again, keeps what was made of that head.
DERIVED = "flagent.derived"
#: Where the gate puts who calls, in the same `state`.
ACCESS = "flagent.access"
#: Where a write route puts the warnings about the flag as it is now.
WARNINGS = "flagent.warnings"

_encode = msgspec.json.Encoder().encode


class Answer(Struct, frozen=True):
    """A whole answer, which nothing of has been sent yet.

    Attributes:
        body: the content, whose length is told by whoever sends it.
        headers: all others.
        status: the HTTP status code.
    """

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (JSON,)
    status: int = 200

    async def send(self, send: Send) -> None:
        """Send it by ASGI."""
        headers = list(self.headers)
        if self.status != NOT_MODIFIED:
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


#: What answers a request in front of the framework. It returns the answer, or the status of what it has sent itself,
#: or None for a stream, which is not over.
HotRoute = Callable[[Scope, Receive, Send], Awaitable[Answer | int | None]]


class Begun(Enum):
    """Stands for an answer that has its connection to itself from now on: nobody else writes to it."""

    STREAM = "stream"


#: What answers a request whose body is complete in one go, or returns None, without a trace, if others would wait too
#: long for that, or if it takes an ASGI server.
PromptRoute = Callable[[Scope, bytes], Answer | Begun | None]


class Refusal(Exception):
    """The request is answered with an error, whose body is exactly `{"message": "<text>"}`.

    Attributes:
        status: the HTTP status code.
        headers: what else to say.
    """

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers

    @property
    def answer(self) -> Answer:
        """The error as it is sent."""
        return Answer(_encode({"message": str(self)}), (JSON, *self.headers), self.status)

    async def deny(self, send: Send) -> None:
        """Send the error instead of opening a WebSocket."""
        body = _encode({"message": str(self)})
        headers = [JSON, (b"content-length", b"%d" % len(body)), *self.headers]
        await send({"type": "websocket.http.response.start", "status": self.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})


def unavailable(message: str, seconds: int = 1) -> Refusal:
    """Return the refusal of a server that can't answer yet, or any more, and says when to try again."""
    return Refusal(503, message, (b"retry-after", b"%d" % seconds))


def check_method(scope: Scope, *allowed: str) -> None:
    """Refuse a method that the route doesn't know.

    Raises:
        Refusal: 405.
    """
    if scope["method"] not in allowed:
        raise Refusal(405, f"{scope['method']} is not allowed here", (b"allow", ", ".join(allowed).encode()))


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return the body of the request.

    Raises:
        Refusal: it has more than `limit` bytes, or the client went away in the middle of it.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        chunks, size = [body], len(body)
        while message.get("more_body") and size <= limit:
            message = await receive()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        body = b"".join(chunks)
    if message["type"] == "http.disconnect":
        raise Refusal(400, "the body is incomplete")
    check_size(body, limit)
    return body


def check_size(body: bytes, limit: int) -> None:
    """Refuse a body that has more than `limit` bytes.

    Raises:
        Refusal: 413.
    """
    if len(body) > limit:
        raise Refusal(413, f"the body is larger than {limit} bytes")


def decoded(place: str, document: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return the value that a document spells; `place` is what to call it in an error.

    Raises:
        Refusal: 400.
    """
    try:
        return decoder.decode(document)
    except msgspec.ValidationError as exc:
        raise Refusal(400, f"{place}: {exc}") from exc
    except RecursionError as exc:
        raise Refusal(400, f"{place}: nested too deeply") from exc
    except ValueError as exc:
        raise Refusal(400, f"{place}: no valid JSON: {exc}") from exc


def query(scope: Scope) -> list[tuple[str, str]]:
    """Return the members of the query string, in order."""
    return members(scope["query_string"])


def members(query_string: bytes) -> list[tuple[str, str]]:
    """Return the members of a query string, in order."""
    text = query_string.decode("latin-1")
    if "%" in text or "+" in text:
        return parse_qsl(text, keep_blank_values=True)
    # Nothing is escaped, as in most of them: the same in a third of the time.
    parts = [part.partition("=") for part in text.split("&") if part]
    return [(name, value) for name, _, value in parts]


def first(members: Iterable[tuple[str, str]], name: str) -> str | None:
    """Return the first value of that name, or None."""
    return next((value for key, value in members if key == name), None)


def header(scope: Scope, name: bytes) -> str:
    """Return a header of the request, several joined by commas; empty when there is none."""
    return joined(scope).get(name, b"").decode("latin-1")


def derived(scope: Scope, make: Callable[[Scope], T]) -> T:
    """Return what `make` makes of the head of a request; it is called once for all requests with the same head."""
    kept: dict[Callable[[Scope], T], T] | None = scope.get(DERIVED)
    if kept is None:
        return make(scope)
    if make not in kept:
        kept[make] = make(scope)
    return kept[make]


def client_of(scope: Scope) -> tuple[str, int] | None:
    """Return host and port of the client; None where nobody can tell."""
    client: tuple[str, int] | None = scope.get("client")
    transport = scope.get("state", {}).get(TRANSPORT) if client is None else None
    return client if transport is None else address(transport, "peername")


def address(transport: asyncio.BaseTransport, end: str) -> tuple[str, int] | None:
    """Return host and port of one end of a connection; None for one that has none."""
    found = transport.get_extra_info(end)
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) else None


def joined(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers of the request by name, several of one name joined by commas."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    found = dict(headers)
    if len(found) < len(headers):
        found.clear()
        for key, value in headers:
            found[key] = found[key] + b", " + value if key in found else value
    return found
