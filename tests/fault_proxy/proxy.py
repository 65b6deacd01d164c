"""The proxy itself: connections that are accepted or not, passed on or not, and ended in one way or another."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from fronts import Front
from live import free_port

from .faults import Ended, Ending, Fault, Made

_HEAD_END = b"\r\n\r\n"
_AT_ONCE = struct.pack("ii", 1, 0)


class Request(NamedTuple):
    """A request that came through.

    Attributes:
        path: what was asked for.
        headers: names in lower case.
        at: when, on the monotonic clock.
    """

    path: str
    headers: dict[str, str]
    at: float

    @property
    def is_stream(self) -> bool:
        """Whether it asks for the stream."""
        return self.path.endswith("/realtime/sse")


#: What happens to the answer of a request.
Script = Callable[[Request], Sequence[Fault]]


class FaultProxy(Front):
    """Stands between clients and a server; its methods are called from a test, at any time.

    Args:
        behind: the server's port.
        context: to end TLS here; None for a proxy without.
        raw: pass bytes on without looking at them, whatever they are; every connection counts as one request for "".

    Attributes:
        requests: what came through so far.
        script: decides about each request that comes from now on.
    """

    def __init__(self, behind: int, *, context: ssl.SSLContext | None = None, raw: bool = False) -> None:
        super().__init__(context)
        # Its own, so that nobody else gets it while it is closed.
        self.port = free_port()
        self.requests: list[Request] = []
        self.script: Script = _nothing
        self._behind = behind
        self._raw = raw
        self._secure = context is not None
        self._streams: Sequence[Fault] = ()
        self._others: Sequence[Fault] = ()
        self._open: set[_Passage] = set()
        self._held = False

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}" if self._secure else f"http://{self.host}:{self.port}"

    @property
    def opened(self) -> list[Request]:
        """The requests for streams so far."""
        return [request for request in self.requests if request.is_stream]

    def streams(self, *faults: Fault) -> None:
        """Let this happen to the streams that begin from now on."""
        self._streams, self.script = faults, self._by_kind

    def others(self, *faults: Fault) -> None:
        """Let this happen to all other answers from now on."""
        self._others, self.script = faults, self._by_kind

    def everything(self, *faults: Fault) -> None:
        """Let this happen to every answer from now on."""
        self.streams(*faults)
        self.others(*faults)

    def clear(self) -> None:
        """Let nothing happen to answers from now on."""
        self.everything()

    def end(self, ending: Ending = Ending.CLOSE) -> None:
        """End all connections that are open, or let them hang for ever."""

        async def work() -> None:
            for passage in list(self._open):
                passage.end(ending)

        self.call(work())

    def hold(self) -> None:
        """Let nothing pass in either direction, on these connections and later ones: a network that is cut."""

        async def work() -> None:
            self._held = True
            for passage in self._open:
                passage.flows.clear()

        self.call(work())

    def release(self) -> None:
        """Let what was held pass."""

        async def work() -> None:
            self._held = False
            for passage in self._open:
                passage.flows.set()

        self.call(work())

    def close_port(self) -> None:
        """Refuse new connections."""
        self.call(self.refuse())

    def open_port(self) -> None:
        """Accept connections again."""
        self.call(self.listen())

    def _by_kind(self, request: Request) -> Sequence[Fault]:
        return self._streams if request.is_stream else self._others

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        passage = _Passage(reader, writer, flows=not self._held)
        self._open.add(passage)
        try:
            head = b"" if self._raw else await passage.head()
            request = _request_of(head)
            self.requests.append(request)
            await passage.run(self._answer(head, passage), self.script(request))
        finally:
            self._open.discard(passage)

    async def _answer(self, head: bytes, passage: _Passage) -> Made:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._behind)
        sending = asyncio.ensure_future(passage.forward(writer))
        try:
            # One request for each connection, so that each is decided about.
            if head:
                writer.write(head[: -len(_HEAD_END)] + b"\r\nConnection: close" + _HEAD_END)
            while chunk := await reader.read(65536):
                yield chunk
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await sending
            writer.close()


class _Passage:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, flows: bool) -> None:
        self.flows = asyncio.Event()
        if flows:
            self.flows.set()
        self._reader, self._writer = reader, writer
        self._ending: Ending | None = None
        self._task = asyncio.current_task()

    def end(self, ending: Ending) -> None:
        if ending is Ending.HANG:
            # Whoever releases the others does not wake it.
            self.flows = asyncio.Event()
        elif self._task is not None:
            self._ending = ending
            self._task.cancel()

    async def head(self) -> bytes:
        head = await self._reader.readuntil(_HEAD_END)
        await self.flows.wait()
        # A library says so itself for what it asks once.
        return b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:"))

    async def forward(self, writer: asyncio.StreamWriter) -> None:
        """Send the rest of what the client says, until it hangs up."""
        while chunk := await self._reader.read(65536):
            await self.flows.wait()
            writer.write(chunk)
            await writer.drain()
        if self._task is not None:
            self._task.cancel()

    async def run(self, answer: Made, faults: Sequence[Fault]) -> None:
        made = [answer]
        for fault in faults:
            made.append(fault.apply(made[-1]))
        try:
            await self._send(made[-1])
        except Ended as ended:
            self._ending = ended.ending
        except asyncio.CancelledError:
            if self._ending is None:
                raise
        finally:
            for each in reversed(made):
                await each.aclose()
        await self._finish(self._ending)

    async def _send(self, chunks: Made) -> None:
        async for chunk in chunks:
            await self.flows.wait()
            self._writer.write(chunk)
            await self._writer.drain()

    async def _finish(self, ending: Ending | None) -> None:
        if ending is Ending.HANG:
            # The client hangs up one day, or the proxy ends.
            while await self._reader.read(65536):
                pass
        elif ending is Ending.RESET:
            raw: socket.socket = self._writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self._writer.transport.abort()


def _request_of(head: bytes) -> Request:
    if not head:
        return Request("", {}, time.monotonic())
    line, *fields = head.decode("latin-1").split("\r\n")
    parts = (field.partition(":") for field in fields if field)
    headers = {name.lower(): value.strip() for name, _, value in parts}
    return Request(line.split(" ")[1].partition("?")[0], headers, time.monotonic())


def _nothing(_request: Request) -> Sequence[Fault]:
    return ()
