"""Which web pages may call: the Fetch standard's CORS protocol, by Starlette, with Flagent's lists."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Scope

from . import asgi
from .settings import Settings

_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
_REQUEST_HEADERS = (
    "Origin",
    "Accept",
    "Content-Type",
    "X-Requested-With",
    "Authorization",
    "X-API-Key",
    "X-Tenant-ID",
    "X-Admin-Key",
    "X-Client-Id",
    "Time_Zone",
    "Cache-Control",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
)
_RESPONSE_HEADERS = ("WWW-Authenticate", "X-Total-Count", "ETag", "Retry-After")
#: Seconds for which a browser may remember what it was allowed.
_MAX_AGE = 600


def cross_origin(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Return `app`, with answers that let the pages of `settings.cors_origins` read them."""
    origins = _origins(settings)
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=_METHODS,
        allow_headers=_REQUEST_HEADERS,
        # With `*` a browser sends none, which is as well.
        allow_credentials="*" not in origins,
        expose_headers=_RESPONSE_HEADERS,
        max_age=_MAX_AGE,
    )


def may_connect(scope: Scope, settings: Settings) -> bool:
    """Return whether the page that opens a WebSocket may: browsers ask nobody, so the server has to look.

    Programs say nothing about an origin, and pages of this very server are its own.
    """
    origin, host = asgi.header(scope, b"origin"), asgi.header(scope, b"host")
    allowed = _origins(settings)
    return not origin or "*" in allowed or origin in allowed or origin.partition("://")[2] == host


def _origins(settings: Settings) -> list[str]:
    return [origin for each in settings.cors_origins.split(",") if (origin := each.strip().rstrip("/"))]
