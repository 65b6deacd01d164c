"""The answers that come over a line: what a server writes piece by piece, a client reads later, or never."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from flagent.errors import TransportError

from .line import Line

#: Bytes that a connection takes while nobody reads.
_CAPACITY = 8192
#: Seconds after which a server gives up a connection of which nothing is acknowledged.
_GIVEN_UP = 25.0


class Pipe:
    """One answer: what a server writes, a client reads.

    Attributes:
        number: names it.
        streams: whether it is a stream, whose messages are more than a piece of something.
        status: of the answer, once its head is there.
        headers: of the answer.
        dead: nothing arrives any more, and nobody is told.
        held: what is written does not get through.
        closed: set when either end is done with it.
    """

    def __init__(self, line: Line, number: int, *, streams: bool) -> None:
        self.number = number
        self.streams = streams
        self.status = 0
        self.headers: dict[str, str] = {}
        self.dead = line.frozen
        self.held = line.holds and streams
        self.closed = asyncio.Event()
        self.unread = 0
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[tuple[float, float, bytes]] = deque()
        self._swapped: bytes | None = None
        self._last = 0.0
        self._ends: str | None = None
        self._head = asyncio.Event()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        line.pipes[number] = self

    async def send(self, message: Any) -> None:
        """Take a message of ASGI from the server; wait while there is no room."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self._loop.call_later(self._line.chance.uniform(*self._line.delay), self._head.set)
            return
        while self.unread >= _CAPACITY and not self.closed.is_set():
            self._line.counts["server waited for a client"] += 1
            self._room.clear()
            await self._room.wait()
        # Like a real server, without a word when the client is gone.
        if not self.closed.is_set():
            self._write(message.get("body", b""))
            if not message.get("more_body"):
                self._end("well")

    async def receive(self) -> Any:
        """Return the messages of ASGI about the client: that it is gone."""
        await self.closed.wait()
        return {"type": "http.disconnect"}

    def _write(self, body: bytes) -> None:
        line = self._line
        if self.streams and line.takes("drops"):
            return
        if self.streams and line.takes("swaps"):
            body, self._swapped = self._swapped or b"", body
        elif self._swapped is not None:
            body, self._swapped = body + self._swapped, None
        if line.poisons and self.streams:
            body = body.replace(b'"type":"', b'"kind":"')
        if line.takes("truncates"):
            self._put(body[: line.chance.randrange(len(body) + 1)])
            self._end("well" if line.chance.random() < 0.5 else "broken late")
            return
        for _ in range(2 if self.streams and line.takes("repeats") else 1):
            self._put(line.altered(body))
        if self.streams and line.flaps:
            line.counts["stream flapped"] += 1
            self._end("well")

    def _put(self, body: bytes) -> None:
        chance, now = self._line.chance, self._loop.time()
        # In pieces, as TCP does what it likes with them; but in order.
        at = chance.randrange(1, len(body)) if len(body) > 1 and chance.random() < 0.3 else len(body)
        for piece in (body[:at], body[at:]):
            if piece:
                self._last = max(self._last, now + chance.uniform(*self._line.delay))
                self._pieces.append((self._last, now, piece))
                self.unread += len(piece)
        self._news.set()

    async def head(self) -> None:
        """Return when the head of the answer is there.

        Raises:
            TransportError: the connection broke before.
        """
        while not self._head.is_set() or self.dead:
            if self._ends == "broken":
                raise TransportError("the connection broke")
            if self.dead:
                await self._loop.create_future()
            await self._head.wait()
        if self._ends == "broken":
            raise TransportError("the connection broke")

    async def read(self) -> bytes:
        """Return what has arrived; empty at the end.

        Raises:
            TransportError: the connection broke.
        """
        while True:
            if self._ends == "broken":
                raise TransportError("the connection broke")
            if self._pieces and not self.dead and not self.held:
                arrives, sent, piece = self._pieces[0]
                wait = max(arrives - self._loop.time(), self._line.chance.uniform(0.3, 0.7) if self._line.slow else 0.0)
                if wait > 0.0:
                    await asyncio.sleep(wait)
                    if self._ends == "broken" or self.dead:
                        continue
                self._pieces.popleft()
                self.unread -= len(piece)
                self._room.set()
                self._line.lateness = max(self._line.lateness, self._loop.time() - sent)
                return piece
            if self._ends is not None and not self.dead and not self.held:
                if self._ends == "broken late":
                    raise TransportError("the connection broke")
                return b""
            self._news.clear()
            await self._news.wait()

    def cut(self) -> None:
        """Break the connection; what is on its way is lost."""
        self._ends = "broken"
        self._head.set()
        self._end("broken")

    def die(self) -> None:
        """Let nothing through any more; the server finds out some time, the client has to."""
        self.dead = True
        self._loop.call_later(_GIVEN_UP, self._lose)

    def _lose(self) -> None:
        self.closed.set()
        self._room.set()

    def _end(self, how: str) -> None:
        self._ends = self._ends or how
        self.closed.set()
        self._room.set()
        self._news.set()
        self._line.pipes.pop(self.number, None)


class Socket:
    """The server's view of a connection, as `asyncio.WriteTransport` has it."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def get_extra_info(self, _name: str) -> None:
        """Return None: there is no socket behind it."""

    def get_protocol(self) -> None:
        """Return None: it is none of uvicorn's, from which it could be taken."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the client has not taken yet."""
        return self._pipe.unread

    def abort(self) -> None:
        """Cut the connection."""
        self._pipe.cut()
