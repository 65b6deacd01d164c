"""What is between a client and a server: a line that may be down, frozen, slow or corrupting, and streams over it."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from flagent.errors import TransportError
from flagent.server import eager

#: Bytes that a connection takes while nobody reads.
_CAPACITY = 4096


class Line:
    """One client's way to the servers.

    Attributes:
        server: which server it leads to.
        down: connections are refused.
        frozen: nothing arrives, and nobody is told.
        delay: bounds in seconds of the time that a message takes.
        corrupts: how many of the next pieces are altered on the way.
        repeats: how many of the next events arrive twice.
        pipes: what is open.
        opened: when streams were asked for.
        used: how often anything was asked for.
    """

    def __init__(self, chance: random.Random) -> None:
        self.server = 0
        self.down = False
        self.frozen = False
        self.slow = False
        self.delay = (0.001, 0.02)
        self.corrupts = 0
        self.repeats = 0
        self.pipes: set[Pipe] = set()
        self.opened: list[float] = []
        self.used = 0
        self._chance = chance

    def mend(self) -> None:
        """Be well again; what was frozen stays dead."""
        self.down = self.frozen = self.slow = False
        self.delay = (0.001, 0.02)
        self.corrupts = self.repeats = 0

    def freeze(self) -> None:
        """Let nothing through from now on, also on connections that are open, for ever."""
        self.frozen = True
        for pipe in self.pipes:
            pipe.dead = True

    def cut(self) -> None:
        """Break all connections."""
        for pipe in sorted(self.pipes, key=lambda pipe: pipe.number):
            pipe.cut()

    async def trip(self) -> None:
        """Wait as long as a message takes in one direction.

        Raises:
            TransportError: there is nobody.
        """
        if self.down:
            raise TransportError("refused", kind="refused")
        if self.frozen:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self._chance.uniform(*self.delay))
        if self.down:
            raise TransportError("the connection broke")

    def altered(self, body: bytes) -> bytes:
        """Return a piece as it arrives."""
        if not self.corrupts or len(body) < 2:
            return body
        self.corrupts -= 1
        place = self._chance.randrange(len(body))
        # A digit becomes another one, so that what arrives can often still be read.
        digits = [position for position in range(len(body)) if body[position : position + 1].isdigit()]
        place = self._chance.choice(digits) if digits and self._chance.random() < 0.8 else place
        return body[:place] + bytes([48 + self._chance.randrange(10)]) + body[place + 1 :]


class Pipe:
    """One direction of a connection: what a server writes, a client reads.

    Attributes:
        number: names it.
        dead: nothing arrives any more, and nobody is told.
        closed: set when either end is done with it.
    """

    def __init__(self, line: Line, number: int, now: Callable[[], float]) -> None:
        self.number = number
        self.dead = line.frozen
        self.closed = asyncio.Event()
        self.sent = 0
        self._line = line
        self._now = now
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._last = 0.0
        self._ends: str | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        line.pipes.add(self)

    async def write(self, body: bytes) -> None:
        """Hand bytes over; wait while there is no room for them."""
        while self._size >= _CAPACITY and not self.closed.is_set():
            self._room.clear()
            await self._room.wait()
        if self.closed.is_set():
            raise ConnectionResetError("the other end is gone")
        self.sent += len(body)
        for _ in range(2 if self._line.repeats else 1):
            self._put(self._line.altered(body))
        self._line.repeats = max(0, self._line.repeats - 1)

    def _put(self, body: bytes) -> None:
        chance, line = self._line._chance, self._line
        # In pieces, as TCP does what it likes with them; but in order.
        at = chance.randrange(1, len(body)) if len(body) > 1 and chance.random() < 0.3 else len(body)
        for piece in (body[:at], body[at:]):
            if piece:
                self._last = max(self._last, self._now() + chance.uniform(*line.delay))
                self._pieces.append((self._last, piece))
                self._size += len(piece)
        self._news.set()

    async def read(self) -> bytes:
        """Return what has arrived; empty at the end.

        Raises:
            TransportError: the connection broke.
        """
        while True:
            if self._ends == "broken":
                raise TransportError("the connection broke")
            if self._pieces and not self.dead:
                at, piece = self._pieces[0]
                wait = max(at - self._now(), 0.5 if self._line.slow else 0.0)
                if wait > 0.0:
                    await asyncio.sleep(wait)
                    if self._ends == "broken" or self.dead:
                        continue
                self._pieces.popleft()
                self._size -= len(piece)
                self._room.set()
                return piece
            if self._ends == "well" and not self.dead:
                return b""
            self._news.clear()
            await self._news.wait()

    def finish(self) -> None:
        """Let the reader know, after everything else, that there is no more."""
        self._end("well")

    def cut(self) -> None:
        """Break the connection; what is on its way is lost."""
        self._end("broken")

    def _end(self, how: str) -> None:
        self._ends = self._ends or how
        self.closed.set()
        self._room.set()
        self._news.set()
        self._line.pipes.discard(self)


class Outlet:
    """The server's end (`stream.Outlet`)."""

    direct = None

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    @property
    def sent(self) -> int:
        """Bytes that the connection has taken."""
        return self._pipe.sent

    def write(self, messages: Any) -> Any:
        """Write messages."""
        return eager.start(self._pipe.write(b"".join(messages)))

    def finish(self, messages: Any, _reason: str) -> Any:
        """Write the last messages and end."""
        return eager.start(self._finish(messages))

    async def _finish(self, messages: Any) -> None:
        await self._pipe.write(b"".join(messages))
        self._pipe.finish()
