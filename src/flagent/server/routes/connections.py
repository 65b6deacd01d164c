"""Who is connected, and what to tell one of them: for admins only, which `policy` sees to."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...core.edits import time_text
from ...errors import NotFound
from ..filters import Filter
from ..stream import Stream
from . import answers
from .bodies import path_id
from .writing import services

_PATH = "/api/v1/realtime/connections"
#: The first product of a `User-Agent`, RFC 9110, section 10.1.5.
_PRODUCT = re.compile(r"([!#$%&'*+.^_`|~\w-]+)(?:/([!#$%&'*+.^_`|~\w-]+))?")


async def list_connections(request: Request) -> Response:
    """Answer with all open streams, the oldest first."""
    here = services(request).hub.cursor
    return answers.json([_shown(stream, here.epoch, here.revision) for stream in services(request).broadcaster.streams])


async def resync(request: Request) -> Response:
    """Make one client load everything anew; one that can't be written to now is brought up to date anyway."""
    services(request).broadcaster.restart(_stream(request), "asked for by an admin")
    return answers.empty()


async def close(request: Request) -> Response:
    """End one stream with a goodbye; a client that is well-behaved comes back at once."""
    services(request).broadcaster.end(_stream(request), "closed", 0.0)
    return answers.empty()


def _stream(request: Request) -> Stream:
    number = path_id(request, "connectionID")
    stream = services(request).broadcaster.stream(number)
    if stream is None:
        raise NotFound(f"connection {number} not found")
    return stream


def _shown(stream: Stream, epoch: str, revision: int) -> dict[str, Any]:
    about, reader = stream.about, stream.reader
    product = _PRODUCT.match(about.agent)
    return {
        "id": stream.number,
        "kind": about.kind.value,
        "clientID": about.client_id or None,
        "userAgent": about.agent or None,
        "sdk": product[1] if product else None,
        "version": product[2] if product else None,
        "address": about.address or None,
        "keyID": about.key_id,
        "connectedAt": time_text(about.opened_at),
        "filters": _conditions(about.wanted),
        "cursor": str(reader.cursor),
        "behind": max(0, revision - reader.seen.revision) if reader.seen.epoch == epoch else None,
        "bytesSent": stream.sent,
        "stalled": stream.pending is not None,
    }


def _conditions(wanted: Filter) -> dict[str, list[Any]]:
    found = {"flagKeys": wanted.keys, "flagIDs": wanted.ids, "tags": wanted.tags}
    return {name: sorted(values) for name, values in found.items() if values is not None}


routes = [
    Route(_PATH, list_connections),
    Route(f"{_PATH}/{{connectionID}}/resync", resync, methods=["POST"]),
    Route(f"{_PATH}/{{connectionID}}", close, methods=["DELETE"]),
]
