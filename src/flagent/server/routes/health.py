"""Is the server there, and what is it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ... import __version__
from . import answers


async def health(_request: Request) -> Response:
    """Answer that the server is up."""
    return answers.json({"status": "OK"})


async def info(_request: Request) -> Response:
    """Answer what is running."""
    return answers.json({"version": __version__, "buildTime": None, "gitCommit": None})


async def stream_health(request: Request) -> Response:
    """Answer how many streams are open; the number is a text, as in Flagent."""
    count = len(request.app.state.services.broadcaster)
    return answers.json({"status": "healthy", "activeConnections": str(count), "protocol": "SSE"})


routes = [
    Route("/api/v1/health", health),
    Route("/api/v1/info", info),
    Route("/api/v1/realtime/sse/health", stream_health),
    Route("/realtime/sse/health", stream_health),
]
