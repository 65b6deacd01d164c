"""A client of the WebSocket for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

PATH = "/api/v1/realtime/ws"
_LIMIT = 10.0


class SocketClient:
    """An open socket; a context manager.

    Attributes:
        socket: the connection itself.
    """

    def __init__(
        self,
        port: int,
        *,
        path: str = PATH,
        protocols: Sequence[str] = (),
        headers: dict[str, str] | None = None,
        origin: str | None = None,
    ) -> None:
        self._stack = ExitStack()
        opening = connect(
            f"ws://127.0.0.1:{port}{path}",
            subprotocols=[Subprotocol(each) for each in protocols] or None,
            additional_headers=headers,
            origin=None if origin is None else Origin(origin),
            proxy=None,
            max_size=None,
        )
        self.socket = self._stack.enter_context(opening)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def say(self, **members: Any) -> None:
        """Send a message as JSON."""
        self.socket.send(json.dumps(members))

    def ask(self, **members: Any) -> dict[str, Any]:
        """Send a message and return the next one that comes."""
        self.say(**members)
        return self.next()

    def next(self, *types: str, id: object = None) -> dict[str, Any]:
        """Return the next message of one of these types, or of any, and of that id; others are passed over.

        Raises:
            TimeoutError: nothing came within the limit.
            ConnectionClosed: the server closed.
        """
        while True:
            text = self.socket.recv(_LIMIT)
            message: dict[str, Any] = json.loads(text) if isinstance(text, str) else msgspec.msgpack.decode(text)
            if (not types or message["type"] in types) and id in (None, message.get("id")):
                return message

    def closed(self) -> tuple[int, str]:
        """Read to the end; return the code and the reason of the close."""
        try:
            while True:
                self.socket.recv(_LIMIT)
        except ConnectionClosed as exc:
            assert exc.rcvd is not None, "the connection was cut"
            return exc.rcvd.code, exc.rcvd.reason
