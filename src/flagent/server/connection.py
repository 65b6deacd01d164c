"""The connection under a stream: who is at its other end, and how much the kernel may hold for them."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

from starlette.types import Scope

from . import asgi
from .asgi import TRANSPORT
from .clocks import now_ms
from .filters import Filter
from .gate import access_of
from .stream import About, Kind

_log = logging.getLogger("flagent.server")

#: The option by which the kernel ends a connection; None on systems that have none.
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
#: The kernel would take megabytes for a client that reads nothing, and so hide that it doesn't.
_SEND_BUFFER = 64 * 1024
#: What is kept of the texts that clients send about themselves.
_MAX_TEXT = 200


def transport_of(scope: Scope) -> asyncio.WriteTransport | None:
    """Return the transport, which our own server puts into the scope; others hide it."""
    transport: asyncio.WriteTransport | None = scope.get("state", {}).get(TRANSPORT)
    return transport


def current_task() -> asyncio.Task[Any]:
    """Return the task of the request, by which a stream is ended under a server that hides its connections."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a stream must be opened by a task")
    return task


def prepare(transport: asyncio.WriteTransport | None, write_timeout: float) -> None:
    """Make the kernel tell soon when the other end takes nothing, or is gone."""
    connection = None if transport is None else transport.get_extra_info("socket")
    descriptor = -1 if connection is None else connection.fileno()
    if descriptor < 0:
        return
    # The transport's own would make another one for each option. The descriptor is all that counts: to look the family
    # up would cost more than to set the options.
    options = socket.SocketType(socket.AF_INET, socket.SOCK_STREAM, 0, descriptor)
    try:
        options.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        if _USER_TIMEOUT is not None:
            # A peer that vanished without a word: its connection ends when it has acknowledged nothing for so long.
            options.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, round(write_timeout * 1000))
    except OSError as exc:
        # The connection ends at this moment, or has no such options; then our own limit alone ends it.
        _log.debug("a connection keeps its own limits: %s", exc)
    finally:
        # The descriptor stays the transport's.
        options.detach()


def about(scope: Scope, kind: Kind, wanted: Filter) -> About:
    """Return who opens a stream."""
    client = scope.get("client")
    client_id, agent = asgi.derived(scope, _names)
    return About(
        kind=kind,
        client_id=client_id,
        agent=agent,
        address=f"{client[0]}:{client[1]}" if client else "",
        opened_at=now_ms(),
        key_id=access_of(scope).key_id,
        wanted=wanted,
    )


def _names(scope: Scope) -> tuple[str, str]:
    """Return what a client calls itself, and its `User-Agent`."""
    headers = asgi.joined(scope)
    client_id = headers.get(b"x-client-id", b"").decode("latin-1")
    if not client_id and b"clientID" in scope["query_string"]:
        client_id = asgi.first(asgi.query(scope), "clientID") or ""
    return client_id[:_MAX_TEXT], headers.get(b"user-agent", b"").decode("latin-1")[:_MAX_TEXT]
