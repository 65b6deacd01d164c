"""Is the server there, and what is it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...version import __version__
from ..metrics import CONTENT_TYPE, text
from ..questions import HowManyStreams, counted, everyone
from . import answers
from .writing import services


async def health(_request: Request) -> Response:
    """Answer that the server is up."""
    return answers.json({"status": "OK"})


async def live(_request: Request) -> Response:
    """Answer that the process runs and its event loop turns."""
    return answers.json({"status": "OK"})


async def ready(request: Request) -> Response:
    """Answer whether clients should be sent here; not while the server is being stopped."""
    if services(request).broadcaster.draining:
        return answers.error(503, "this server is being stopped", {"Retry-After": "1"})
    return answers.json({"status": "OK"})


async def metrics(request: Request) -> Response:
    """Answer with what was counted, for Prometheus."""
    return Response(text(await counted(services(request))), headers={"Content-Type": CONTENT_TYPE})


async def info(_request: Request) -> Response:
    """Answer what is running."""
    return answers.json({"version": __version__, "buildTime": None, "gitCommit": None})


async def stream_health(request: Request) -> Response:
    """Answer how many streams are open; the number is a text, as in Flagent."""
    count = sum(await everyone(services(request), HowManyStreams()))
    return answers.json({"status": "healthy", "activeConnections": str(count), "protocol": "SSE"})


routes = [
    Route("/healthz", live),
    Route("/readyz", ready),
    Route("/metrics", metrics),
    Route("/api/v1/health", health),
    Route("/api/v1/info", info),
    Route("/api/v1/realtime/sse/health", stream_health),
    Route("/realtime/sse/health", stream_health),
]
