"""A WebSocket: several subscriptions on one connection, and evaluation beside them.

Each subscription is a stream like any other: a cursor, no queue, served by the broadcaster. The socket
has one of its own besides, by which it is kept alive, grows old and is told goodbye.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from ..core.changes import Cursor
from ..errors import StorageUnavailable
from ..wire.encodings import JSON, NOTHING, JsonMessages, Messages, MsgpackMessages, Numbered
from ..wire.packing import pack
from . import eager
from .asgi import Refusal
from .connection import about, current_task, prepare, transport_of
from .eager import Remainder
from .evaluating import Evaluations
from .filters import EVERYTHING, Filter
from .gate import Access, Gate, access_of
from .hub import Hub
from .keys import KeyKind
from .opening import Opening, Start
from .protocols import SocketConnection
from .readers import goodbye
from .requests import BadMessage, Evaluate, EvaluateBatch, Id, Operation, Subscribe, Unsubscribe, WatchEntity, read
from .settings import Settings
from .stream import Kind, Outlet, Reader, Stream
from .watching import Watching

#: Subscriptions of one socket.
MAX_SUBSCRIPTIONS = 100
#: How a socket is closed, by the reason in its goodbye: codes of RFC 6455, section 7.4, and IANA's registry.
_CLOSE_CODES = {"drain": 1012, "revoked": 3000}
_GOING_AWAY = 1001
_encode_json = msgspec.json.Encoder().encode


class Socket:
    """One open WebSocket, from the handshake on."""

    def __init__(
        self,
        scope: Scope,
        send: Send,
        encoding: JsonMessages | MsgpackMessages,
        *,
        hub: Hub,
        opening: Opening,
        watching: Watching,
        evaluations: Evaluations,
        gate: Gate,
        settings: Settings,
    ) -> None:
        self._gate = gate
        self._scope = scope
        self._send = send
        self._encoding = encoding
        self._hub = hub
        self._opening = opening
        self._watching = watching
        self._evaluations = evaluations
        self._settings = settings
        self._access: Access = access_of(scope)
        self._transport = transport_of(scope)
        # A transport that has lost its connection has lost its protocol as well.
        self._connection = None if self._transport is None else self._transport.get_protocol()
        self._subscriptions: dict[Id, Stream] = {}
        self._closed = False

    async def serve(self, receive: Receive) -> None:
        """Do what the client asks for until it hangs up."""
        broadcaster = self._opening.broadcaster
        prepare(self._transport, self._settings.write_timeout)
        owner = current_task()
        own = self._stream(_Silence(self), _Outlet(self, None), Kind.SOCKET, EVERYTHING)
        try:
            broadcaster.open(own, NOTHING)
            while (message := await receive())["type"] != "websocket.disconnect":
                await self._take(message)
        except asyncio.CancelledError:
            if not own.ended:
                raise
            owner.uncancel()
        finally:
            self._closed = True
            # However many subscriptions there were, it was one connection.
            await broadcaster.close(own, stalled=self._took_nothing())
            for stream in self._subscriptions.values():
                await broadcaster.close(stream)

    def _took_nothing(self) -> bool:
        """Return whether the kernel has cut the connection because the other end took nothing."""
        return isinstance(self._connection, SocketConnection) and self._connection.took_nothing

    async def _take(self, message: Mapping[str, Any]) -> None:
        """Answer one message; a wrong one gets an error, and the socket stays open."""
        name: Id | None = None
        try:
            operation = read(message)
            name = operation.id
            self._gate.limit(self._scope, self._access)
            await self._do(operation)
        except BadMessage as exc:
            await self._answer({"type": "error", "id": exc.id, "message": str(exc)})
        except (Refusal, StorageUnavailable) as exc:
            await self._answer({"type": "error", "id": name, "message": str(exc)})

    async def _do(self, operation: Operation) -> None:
        match operation:
            case Subscribe():
                await self._subscribe(operation)
            case WatchEntity():
                self._check(operation.id)
                reader, greeting = self._watching.entity(operation, self._access, self._encoding)
                self._begin(operation.id, reader, greeting, Kind.SOCKET_EVALUATIONS, operation.wanted)
            case Unsubscribe():
                stream = self._subscriptions.pop(operation.id, None)
                if stream is None:
                    raise Refusal(400, f"id: {operation.id!r} is no subscription of this socket")
                await self._opening.broadcaster.close(stream)
                await self._answer({"type": "unsubscribed", "id": operation.id})
            case Evaluate():
                result = self._evaluations.one(operation.context, self._access)
                await self._answer({"type": "result", "id": operation.id, "result": result})
            case EvaluateBatch():
                results = await self._evaluations.many(operation, self._access)
                await self._answer({"type": "results", "id": operation.id, "evaluationResults": results})

    async def _subscribe(self, operation: Subscribe) -> None:
        if self._access.kind is KeyKind.CLIENT:
            raise Refusal(
                403, "a key of kind client may not subscribe to changes, which carry rules; `watch` an entity"
            )
        self._check(operation.id)
        start = Start(operation.wanted, operation.after or "", operation.since or "")
        reader, greeting = await self._opening.changes(start, self._encoding)
        self._begin(operation.id, reader, greeting, Kind.SOCKET_CHANGES, start.wanted)

    def _check(self, id: Id) -> None:
        self._opening.check()
        if id in self._subscriptions:
            raise Refusal(400, f"id: {id!r} is a subscription already")
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise Refusal(400, f"{MAX_SUBSCRIPTIONS} subscriptions are all that one socket takes")

    def _begin(self, id: Id, reader: Reader, greeting: Messages, kind: Kind, wanted: Filter) -> None:
        stream = self._stream(reader, _Outlet(self, Numbered(self._encoding, id)), kind, wanted)
        self._subscriptions[id] = stream
        self._opening.broadcaster.open(stream, greeting)

    def _stream(self, reader: Reader, outlet: Outlet, kind: Kind, wanted: Filter) -> Stream:
        return Stream(
            reader, outlet, owner=current_task(), transport=self._transport, about=about(self._scope, kind, wanted)
        )

    async def _answer(self, message: dict[str, Any]) -> None:
        """Send an answer; a client that takes nothing for too long is given up."""
        encode = _encode_json if self._encoding is JSON else pack
        try:
            async with asyncio.timeout(self._settings.write_timeout):
                await self.put(encode(message))
        except TimeoutError:
            self._closed = True
            if self._transport is not None:
                self._transport.abort()

    async def put(self, message: bytes) -> None:
        """Write one message; wait while the connection takes nothing."""
        if self._closed:
            return
        try:
            if self._encoding is JSON:
                await self._send({"type": "websocket.send", "text": message.decode()})
            else:
                await self._send({"type": "websocket.send", "bytes": message})
        except OSError:
            # The client is gone; `receive` says so as well.
            self._closed = True

    async def close(self, reason: str) -> None:
        """Close the socket."""
        if not self._closed:
            self._closed = True
            code = _CLOSE_CODES.get(reason, _GOING_AWAY)
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def cursor(self) -> Cursor:
        """Return where the server is."""
        return self._hub.cursor

    def heartbeat(self) -> Messages:
        """Return the sign of life of a socket without subscriptions; the others have their own."""
        return NOTHING if self._subscriptions else self._hub.heartbeat(self._encoding)

    def goodbye(self, reason: str, reconnect_after_ms: int) -> Messages:
        """Return a `goodbye`."""
        return goodbye(self._encoding, reason, reconnect_after_ms)


class _Outlet:
    """Where the messages of one subscription go; its end is that of the socket."""

    direct = None

    def __init__(self, socket: Socket, number: Numbered | None) -> None:
        self.sent = 0
        self._socket = socket
        self._number = number

    def write(self, messages: Messages) -> Remainder | None:
        """Write messages."""
        return eager.start(self._write(messages))

    def finish(self, messages: Messages, reason: str) -> Remainder | None:
        """Write the last messages and close the socket."""
        return eager.start(self._finish(messages, reason))

    async def _write(self, messages: Messages) -> None:
        for message in messages:
            self.sent += len(message)
            await self._socket.put(message if self._number is None else self._number(message))

    async def _finish(self, messages: Messages, reason: str) -> None:
        for message in messages:
            await self._socket.put(message)
        await self._socket.close(reason)


class _Silence:
    """The reader of the socket's own stream, which has no news."""

    compatible = False
    #: A key of no flag: nothing that changes is of interest.
    wanted = Filter(keys=frozenset())
    #: Whether it gives a sign of life is a question of its own socket.
    alike: Hashable | None = None

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self.catch_up: Callable[[], AsyncIterator[Messages]] | None = None
        self.cursor = socket.cursor()

    @property
    def seen(self) -> Cursor:
        """Where the server is: there is nothing to miss."""
        return self._socket.cursor()

    def copy(self) -> _Silence:
        """Return another one."""
        return _Silence(self._socket)

    def skip(self, cursor: Cursor) -> None:
        """Do nothing."""

    def news(self) -> Messages:
        """Return nothing."""
        return NOTHING

    def sign(self) -> Messages:
        """Return a heartbeat, if nothing else does."""
        return self._socket.heartbeat()

    def nudge(self) -> Messages:
        """Return nothing."""
        return NOTHING

    def restart(self, reason: str) -> Messages:  # noqa: ARG002 - there is nothing to load
        """Return nothing."""
        return NOTHING

    def goodbye(self, reason: str, reconnect_after_ms: int) -> Messages:
        """Return a `goodbye`."""
        return self._socket.goodbye(reason, reconnect_after_ms)
