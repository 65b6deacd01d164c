"""Sending large bodies: at the pace of the client, without a copy of the whole for each, and not too many at once."""

from __future__ import annotations

import asyncio
import random

from starlette.types import Receive, Scope, Send

from . import asgi
from .connection import transport_of
from .settings import Settings

#: Bytes that are handed to the connection at once, and so kept for each client.
_PIECE = 128 << 10
#: The longest time in seconds after which a client that was sent away shall try again.
_MAX_RETRY = 5


class Downloads:
    """Those that are under way.

    Attributes:
        refused: how many were sent away because there were too many.
    """

    def __init__(self, settings: Settings) -> None:
        self.refused = 0
        self._settings = settings
        self._under_way = 0

    def __len__(self) -> int:
        return self._under_way

    def __enter__(self) -> None:
        """Count one more.

        Raises:
            Refusal: 503, there are too many; each client is told another time to come back.
        """
        if self._under_way >= self._settings.max_downloads:
            self.refused += 1
            said = f"{self._under_way} snapshots are on their way, which is all that this server sends at once"
            raise asgi.unavailable(said, random.randint(1, _MAX_RETRY))  # noqa: S311
        self._under_way += 1

    def __exit__(self, *_: object) -> None:
        """Count one less."""
        self._under_way -= 1

    async def send(self, scope: Scope, receive: Receive, send: Send, body: bytes, *headers: tuple[bytes, bytes]) -> int:
        """Send a whole answer, and return its status; a client that takes nothing for too long is given up."""
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, length]})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return 200
        for position in range(0, len(body) or 1, _PIECE):
            piece, more = body[position : position + _PIECE], position + _PIECE < len(body)
            try:
                async with asyncio.timeout(self._settings.write_timeout):
                    await send({"type": "http.response.body", "body": piece, "more_body": more})
            except TimeoutError:
                transport = transport_of(scope)
                if transport is None:
                    raise
                transport.abort()
                # The server takes an answer that ends early for a mistake, unless the client is gone first.
                while (await receive())["type"] != "http.disconnect":
                    pass
                break
        return 200
