"""The WebSocket's handshake; `server.sockets` does the rest."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from ...wire.encodings import JSON, MSGPACK, JsonMessages, MsgpackMessages
from .. import asgi
from ..asgi import Refusal
from ..cors import may_connect
from ..evaluating import Evaluations
from ..gate import Gate
from ..hub import Hub
from ..opening import Opening
from ..settings import Settings
from ..sockets import Socket
from ..watching import Watching

PATHS = ("/api/v1/realtime/ws", "/realtime/ws")

_ENCODINGS: dict[str, JsonMessages | MsgpackMessages] = {"flagent.json": JSON, "flagent.msgpack": MSGPACK}


class SocketRoute:
    """Opens WebSockets."""

    def __init__(
        self,
        hub: Hub,
        opening: Opening,
        watching: Watching,
        evaluations: Evaluations,
        gate: Gate,
        settings: Settings,
    ) -> None:
        self._gate = gate
        self._hub = hub
        self._opening = opening
        self._watching = watching
        self._evaluations = evaluations
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; it lasts as long as the socket."""
        if scope["type"] != "websocket":
            await Refusal(426, "this address is for WebSockets", (b"upgrade", b"websocket")).answer.send(send)
            return
        try:
            if not may_connect(scope, self._settings):
                raise Refusal(
                    403, f"pages of {asgi.header(scope, b'origin')[:200]!r} may not connect, see cors_origins"
                )
            self._opening.admit()
        except Refusal as refusal:
            await refusal.deny(send)
            return
        chosen = next((each for each in scope["subprotocols"] if each in _ENCODINGS), None)
        await send({"type": "websocket.accept", "subprotocol": chosen})
        socket = Socket(
            scope,
            send,
            JSON if chosen is None else _ENCODINGS[chosen],
            hub=self._hub,
            opening=self._opening,
            watching=self._watching,
            evaluations=self._evaluations,
            gate=self._gate,
            settings=self._settings,
        )
        # The handshake itself comes first.
        await receive()
        await socket.serve(receive)
