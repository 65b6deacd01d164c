"""What may happen to an answer on its way to a client: values, each of which makes other bytes of bytes.

Several are applied in a row, the first one nearest to the server. Whoever ends the connection in its own way
raises `Ended`; a stream of bytes that simply ends is an orderly close.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Chunks = AsyncIterator[bytes]
#: Generators, since what is not used up has to be closed.
Made = AsyncGenerator[bytes, None]


class Ending(StrEnum):
    """How a connection ends."""

    #: In good order, as if the answer were complete (FIN).
    CLOSE = "close"
    #: As if the other end had crashed (RST).
    RESET = "reset"
    #: Not at all: nothing comes any more, and nobody is told.
    HANG = "hang"


class Ended(Exception):
    """The connection is over, in this way."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


class Fault(Protocol):
    """One thing that happens to an answer."""

    def apply(self, chunks: Chunks) -> Made:
        """Return what arrives instead of `chunks`."""


@dataclass(frozen=True)
class Cut:
    """End the connection after some bytes of the answer, or after the nth time that it says something.

    Attributes:
        after: how many bytes still arrive, or the bytes that do so last.
        times: with bytes, how often they arrive.
        ending: how it ends.
    """

    after: int | bytes = 0
    times: int = 1
    ending: Ending = Ending.CLOSE

    async def apply(self, chunks: Chunks) -> Made:
        seen = bytearray()
        async for chunk in chunks:
            before = len(seen)
            seen += chunk
            end = self._end(seen)
            if end is None:
                yield chunk
                continue
            yield bytes(seen[before : max(before, end)])
            break
        raise Ended(self.ending)

    def _end(self, seen: bytearray) -> int | None:
        if isinstance(self.after, int):
            return self.after if len(seen) >= self.after else None
        place = 0
        for _ in range(self.times):
            found = seen.find(self.after, place)
            if found < 0:
                return None
            place = found + len(self.after)
        return place


@dataclass(frozen=True)
class Delay:
    """Hold everything back for some seconds, once."""

    seconds: float

    async def apply(self, chunks: Chunks) -> Made:
        await asyncio.sleep(self.seconds)
        async for chunk in chunks:
            yield chunk


@dataclass(frozen=True)
class Split:
    """Let the bytes arrive in pieces of this size."""

    size: int = 1

    async def apply(self, chunks: Chunks) -> Made:
        async for chunk in chunks:
            for start in range(0, len(chunk), self.size):
                yield chunk[start : start + self.size]
                await asyncio.sleep(0)


@dataclass(frozen=True)
class Drip:
    """Let so many bytes arrive at a time, and then none for some seconds."""

    size: int
    seconds: float

    async def apply(self, chunks: Chunks) -> Made:
        async for piece in Split(self.size).apply(chunks):
            yield piece
            await asyncio.sleep(self.seconds)


@dataclass(frozen=True)
class Corrupt:
    """Turn some bits of the byte at a place."""

    at: int
    bits: int = 0x80

    async def apply(self, chunks: Chunks) -> Made:
        seen = 0
        async for chunk in chunks:
            place = self.at - seen
            seen += len(chunk)
            if 0 <= place < len(chunk):
                turned = bytearray(chunk)
                turned[place] ^= self.bits
                yield bytes(turned)
            else:
                yield chunk


@dataclass(frozen=True)
class Buffer:
    """Hold the body back until there are so many bytes of it, or it has ended: what proxies do unless told not to."""

    size: int = 1 << 30

    async def apply(self, chunks: Chunks) -> Made:
        held, headed = b"", False
        async for chunk in chunks:
            held += chunk
            head, end, body = held.partition(b"\r\n\r\n")
            if not headed and end:
                yield head + end
                held, headed = body, True
            if headed and len(held) >= self.size:
                yield held
                held = b""
        if held:
            yield held


@dataclass(frozen=True)
class IdleLimit:
    """End the connection when nothing came for some seconds."""

    seconds: float
    ending: Ending = Ending.CLOSE

    async def apply(self, chunks: Chunks) -> Made:
        while True:
            try:
                chunk = await asyncio.wait_for(anext(chunks), self.seconds)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Ended(self.ending) from None
            yield chunk


@dataclass(frozen=True)
class Answer:
    """Answer in place of the server, which is not asked.

    Attributes:
        status: code and reason; None sends `body` alone, whatever it is.
        body: what follows the head.
        fields: lines of the head. Without a length the body ends with the connection.
        again: what follows the body, again and again.
        pause: seconds before each time.
        ending: what follows the body otherwise.
    """

    status: str | None
    body: bytes = b""
    fields: tuple[str, ...] = ()
    again: bytes = b""
    pause: float = 0.0
    ending: Ending = Ending.CLOSE

    async def apply(self, chunks: Chunks) -> Made:
        # The server is not asked: closed before it begins.
        with suppress(AttributeError):
            await chunks.aclose()  # type: ignore[attr-defined]
        if self.status is not None:
            yield "\r\n".join([f"HTTP/1.1 {self.status}", *self.fields, "", ""]).encode()
        yield self.body
        while self.again:
            await asyncio.sleep(self.pause)
            yield self.again
        raise Ended(self.ending)
