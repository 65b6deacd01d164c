"""Answers of the REST routes: JSON, and errors in the one form that Flagent's clients read.

An error's body is exactly `{"message": "<text>"}`: the Go client refuses any other member.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from ...core.model import Flag
from ...errors import Conflict, DecodeError, InvalidFlag, NotFound, NotReady, StorageUnavailable
from ...wire.codec import View, encode_flag, encode_flags

#: Seconds after which a client may try again what the database refused.
_RETRY_AFTER = 1

_encode = msgspec.json.Encoder().encode


def json(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Answer 200 with a value that msgspec can encode."""
    return json_bytes(_encode(value), headers)


def json_bytes(body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """Answer 200 with JSON that is encoded already."""
    return Response(body, headers=headers, media_type="application/json")


def empty() -> Response:
    """Answer 200 without a body, as successful deletions do."""
    return Response()


def flag(request: Request, value: Flag) -> Response:
    """Answer with a flag, in the view that was asked for, and with the tag that `If-Match` takes."""
    return json_bytes(encode_flag(value, view(request)), {"ETag": etag(value)})


def flags(request: Request, values: list[Flag], headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a list of flags, in the view that was asked for."""
    return json_bytes(encode_flags(values, view(request)), headers)


def view(request: Request) -> View:
    """Return the view that the query asks for."""
    text = request.query_params.get("view", View.COMPATIBLE.value)
    try:
        return View(text)
    except ValueError:
        raise InvalidFlag(f"view: {text!r} is none of {', '.join(View)}") from None


def etag(value: Flag) -> str:
    """Return the entity tag of a flag: it changes with every change of the flag or of anything inside it."""
    return f'"{value.snapshot_id}"'


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with an error."""
    return Response(_encode({"message": message}), status, headers, media_type="application/json")


def _answering(
    status: int, headers: Mapping[str, str] | None = None
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handler(_request: Request, exc: Exception) -> Response:
        return error(status, str(exc), headers)

    return handler


async def _http_error(request: Request, exc: Exception) -> Response:
    # Starlette's own: unknown path, wrong method, body over the limit.
    if not isinstance(exc, HTTPException):
        raise exc
    if exc.status_code in (204, 304):
        return Response(status_code=exc.status_code, headers=exc.headers)
    headers = {"Allow": ", ".join(_allowed(request))} if exc.status_code == 405 else exc.headers
    return error(exc.status_code, exc.detail or HTTPStatus(exc.status_code).phrase, headers)


def _allowed(request: Request) -> list[str]:
    # Starlette names only the methods of the first route of that path, and each method has a route here.
    routes = (each for each in request.app.routes if isinstance(each, Route))
    matching = (each for each in routes if each.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for each in matching for method in each.methods or ()})


async def _server_error(_request: Request, _exc: Exception) -> Response:
    # Starlette raises it again afterwards, so the server logs it; what went wrong is not the client's business.
    return error(500, "internal server error")


#: Pass to Starlette: what each exception becomes.
exception_handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    InvalidFlag: _answering(400),
    DecodeError: _answering(400),
    NotFound: _answering(404),
    # Only a failed `If-Match` gets here: conflicts between writers are the editor's business.
    Conflict: _answering(412),
    StorageUnavailable: _answering(503, {"Retry-After": str(_RETRY_AFTER)}),
    NotReady: _answering(503, {"Retry-After": str(_RETRY_AFTER)}),
    HTTPException: _http_error,
    # Nobody reads this any more; but it is no error of ours, and must not be logged as one.
    ClientDisconnect: _answering(400),
    Exception: _server_error,
}
