"""Who is connected, and what to tell one of them: for admins only, which `policy` sees to."""

from __future__ import annotations

from itertools import chain
from operator import itemgetter

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...errors import NotFound
from ..questions import Close, Question, Resync, WhoIsConnected, everyone
from . import answers
from .bodies import path_id
from .writing import services

_PATH = "/api/v1/realtime/connections"


async def list_connections(request: Request) -> Response:
    """Answer with all open streams, the oldest first."""
    found = chain.from_iterable(await everyone(services(request), WhoIsConnected()))
    return answers.json(sorted(found, key=itemgetter("connectedAt")))


async def resync(request: Request) -> Response:
    """Make one client load everything anew; one that can't be written to now is brought up to date anyway."""
    number = path_id(request, "connectionID")
    return await _done(request, number, Resync(number, "asked for by an admin"))


async def close(request: Request) -> Response:
    """End one stream with a goodbye; a client that is well-behaved comes back at once."""
    number = path_id(request, "connectionID")
    return await _done(request, number, Close(number))


async def _done(request: Request, number: int, question: Question) -> Response:
    if not any(await everyone(services(request), question)):
        raise NotFound(f"connection {number} not found")
    return answers.empty()


routes = [
    Route(_PATH, list_connections),
    Route(f"{_PATH}/{{connectionID}}/resync", resync, methods=["POST"]),
    Route(f"{_PATH}/{{connectionID}}", close, methods=["DELETE"]),
]
