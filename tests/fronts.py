"""What may stand between a client and a server: something that ends TLS, and a proxy that is asked to connect."""

from __future__ import annotations

import asyncio
import base64
import ssl
import threading
from abc import abstractmethod
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_LIMIT = 10.0


class Front:
    """A server of its own event loop and thread, whose connections are answered by `serve`.

    Attributes:
        host: address at which it listens.
        port: where it listens there; 0 for anywhere until it does.
        connections: how many were accepted.
    """

    host = "127.0.0.1"

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.connections = 0
        self._context = context
        self._started: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="front", daemon=True)

    @abstractmethod
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection."""

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._started.result(_LIMIT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_LIMIT)
        assert not self._thread.is_alive()

    def call(self, work: Coroutine[Any, Any, None]) -> None:
        """Await something on its event loop."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._tasks: set[asyncio.Task[None]] = set()
        await self.listen()
        self._started.set_result(self._server.sockets[0].getsockname()[1])
        await self._stop.wait()
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self) -> None:
        """Accept connections; a coroutine of its event loop."""
        self._server = await asyncio.start_server(self._accept, self.host, self.port, ssl=self._context)

    async def refuse(self) -> None:
        """Accept no more connections; those that are open stay. A coroutine of its event loop."""
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self.serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def cut(self) -> None:
        """End all connections."""
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    """Connect two ends, until one of them has no more to say."""
    other_reader, other_writer = await asyncio.open_connection(host, port)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()

    both = [asyncio.ensure_future(copy(reader, other_writer)), asyncio.ensure_future(copy(other_reader, writer))]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Closed first: whoever ends the front may cancel this, too, while it waits.
        other_writer.close()
        for each in both:
            each.cancel()
        await asyncio.gather(*both, return_exceptions=True)


class TLSFront(Front):
    """Ends TLS in front of a server.

    Attributes:
        url: its address, with a name that certificates can be for.
    """

    def __init__(self, behind: int, context: ssl.SSLContext) -> None:
        super().__init__(context)
        self._behind = behind

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass everything on."""
        await pipe(reader, writer, "127.0.0.1", self._behind)


class ForwardProxy(Front):
    """A proxy that clients ask for other servers: with CONNECT for those with TLS, with whole URLs for the others.

    Attributes:
        asked: what was asked for, such as `CONNECT localhost:443`.
        credentials: what it wants, as `user:password`; None for nothing.
        status: what it answers instead of connecting; None to connect.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.credentials: str | None = None
        self.status: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and be a pipe from then on."""
        head = await reader.readuntil(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split()
        self.asked.append(f"{method} {target.partition('?')[0]}")
        refusal = self._refusal(fields)
        if refusal is not None:
            writer.write(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
            return
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await pipe(reader, writer, host, int(port))
            return
        parts = urlsplit(target)
        kept = [field for field in fields if not field.lower().startswith(("proxy-", "connection:"))]
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        whole = asyncio.StreamReader()
        whole.feed_data("\r\n".join([f"{method} {path} HTTP/1.1", "Connection: close", *kept]).encode("latin-1"))
        body = next((int(field[15:]) for field in fields if field.lower().startswith("content-length:")), 0)
        whole.feed_data(await reader.readexactly(body))
        await pipe(_Joined(whole, reader), writer, parts.hostname or "", parts.port or 80)

    def _refusal(self, fields: list[str]) -> str | None:
        if self.status is not None or self.credentials is None:
            return self.status
        wanted = "proxy-authorization: basic " + base64.b64encode(self.credentials.encode()).decode()
        given = any(field.lower() == wanted.lower() for field in fields)
        return None if given else "407 Proxy Authentication Required"


class _Joined(asyncio.StreamReader):
    """What was read already, and then the rest."""

    def __init__(self, first: asyncio.StreamReader, rest: asyncio.StreamReader) -> None:
        super().__init__()
        self._first, self._rest = first, rest
        first.feed_eof()

    async def read(self, n: int = -1) -> bytes:
        return await self._first.read(n) or await self._rest.read(n)
