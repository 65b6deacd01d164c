"""The description of the API: for programs at `/openapi.json`, for people at `/docs`."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..openapi import description

_PAGE = Path(__file__).parent.parent / "openapi" / "page.html"
#: Nothing from anywhere else, and no script but the page's own.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'"
)


@cache
def _document() -> bytes:
    return msgspec.json.encode(description())


async def openapi(request: Request) -> Response:
    """Answer with the OpenAPI document."""
    body = _document()
    tag = f'"{blake2b(body, digest_size=8).hexdigest()}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body, headers={"ETag": tag}, media_type="application/json")


async def docs(_request: Request) -> Response:
    """Answer with the page that shows the OpenAPI document."""
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    return Response(_PAGE.read_bytes(), headers=headers, media_type="text/html; charset=utf-8")


routes = [
    Route("/openapi.json", openapi),
    Route("/docs", docs),
]
