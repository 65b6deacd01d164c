"""Light clients of the stream that keep only a cursor and check that every change comes once; no SDK is in them."""

from __future__ import annotations

import asyncio
import random
import socket
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httptools
import msgspec
from api import check
from processes import HOST, LIMIT, ServerProcess

from flagent.core.changes import Cursor
from flagent.errors import FlagentError
from flagent.wire.backoff import Backoff
from flagent.wire.sse import Event, Parser

SNAPSHOT = "/api/v1/export/eval_cache/json"
_STREAM = "/api/v1/realtime/sse"
#: Clients that connect at once in the beginning.
_AT_ONCE = 200


class StreamClient(asyncio.Protocol):
    """A reader of a stream that keeps nothing but its cursor, and checks that every change comes once.

    Attributes:
        cursor: the last event's id, or the revision of `connected`.
        goal: the revision with which it is current.
        current_at: when it was, on the monotonic clock; None as long as it isn't.
        tried_at: when the last connection was tried; greeted_at: when the last greeting came.
        events: how many events came, by type.
        told: set with each of them, for one that waits and clears it.
        faults: what was wrong: gaps, duplicates, heartbeats of another place.
        sent: bytes of requests.
        received: bytes of answers, as they came from the socket.
        downloads: sizes of the snapshots that it had to load.
        refusals: connections that failed.
    """

    def __init__(self, port: int, *, compatible: bool = False, cursor: str = "", receive_buffer: int = 0) -> None:
        self.cursor = Cursor.parse(cursor)
        self.goal: int | None = None
        self.current_at: float | None = None
        self.tried_at = self.greeted_at = 0.0
        self.events: Counter[str] = Counter()
        self.told = asyncio.Event()
        self.faults: list[str] = []
        self.sent = self.received = self.refusals = 0
        self.downloads: list[int] = []
        self.transport: asyncio.Transport | None = None
        self._port = port
        self._compatible = compatible
        self._receive_buffer = receive_buffer
        self._greeted = False
        self._asked: float | None = None
        self._lost: asyncio.Future[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._held, self._known = list[Event](), 0

    def start(self) -> None:
        """Connect, and again whenever the connection breaks."""
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Hang up."""
        tasks = [task for task in (self._following, self._loading) if task is not None]
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        if self.transport is not None:
            self.transport.abort()
        broken = next((each for each in results if isinstance(each, Exception)), None)
        check(broken is None, f"a client broke: {broken!r}")

    def aim(self, goal: int) -> None:
        """Note when the client gets to this revision."""
        self.goal, self.current_at = goal, None
        self._note()

    async def _follow(self) -> None:
        backoff = _backoff()
        while True:
            try:
                await self._connect()
            except OSError:
                self.refusals += 1
            else:
                assert self._lost is not None
                await self._lost
                if self._greeted:
                    # As after the minute of health that clears the count of failures.
                    backoff = _backoff()
                else:
                    self.refusals += 1
            await asyncio.sleep(backoff.next_delay(time.monotonic(), asked=self._asked))

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self.tried_at = time.monotonic()
        self._lost = loop.create_future()
        self._greeted, self._asked = False, None
        self._parser = Parser()
        self._answer = httptools.HttpResponseParser(self)
        connection = socket.socket()
        try:
            connection.setblocking(False)
            if self._receive_buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
            await loop.sock_connect(connection, (HOST, self._port))
            self.transport, _ = await loop.create_connection(lambda: self, sock=connection)
        except BaseException:
            connection.close()
            raise
        self.transport.write(request := self._request())
        self.sent += len(request)

    def _request(self) -> bytes:
        """Return the same headers that the SDK sends."""
        lines = [
            f"GET {_STREAM}{'' if self._compatible else '?payload=flag'} HTTP/1.1",
            f"Host: {HOST}:{self._port}",
            "Accept: text/event-stream",
            "Cache-Control: no-store",
            "Accept-Encoding: identity",
        ]
        if self.cursor is not None and not self._compatible:
            lines.append(f"Last-Event-ID: {self.cursor}")
        return "\r\n".join([*lines, "", ""]).encode()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason makes no difference
        """Let the client connect again."""
        self.transport = None
        self._held.clear()
        if self._loading is not None:
            self._loading.cancel()
            self._loading = None
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        self.received += len(data)
        try:
            self._answer.feed_data(data)
        except (httptools.HttpParserError, FlagentError, ValueError, KeyError) as exc:
            self.faults.append(f"what came can't be read: {exc!r}")
            if self.transport is not None:
                self.transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the wait that the server asks for."""
        if name.lower() == b"retry-after":
            self._asked = float(value)

    def on_headers_complete(self) -> None:
        """Hang up on an answer that is no stream."""
        if self._answer.get_status_code() != 200 and self.transport is not None:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        """Take the events of a piece of the stream."""
        if self._answer.get_status_code() == 200:
            self._held += self._parser.feed(body)
            self._proceed()

    def _proceed(self) -> None:
        while self._held and self._loading is None:
            event = self._held.pop(0)
            self.events[event.type] += 1
            self.told.set()
            if event.type == "connected":
                self._begin(msgspec.json.decode(event.data))
            elif not self._compatible:
                self._take(event)
        self._note()

    def _note(self) -> None:
        """Note when the client has got where it shall."""
        if self.goal is None or self.cursor is None or not self._greeted or self._loading is not None:
            return
        if self.current_at is None and self.cursor.revision >= self.goal:
            self.current_at = time.monotonic()

    def _begin(self, connected: dict[str, Any]) -> None:
        self._greeted, self.greeted_at = True, time.monotonic()
        resume = connected.get("resume", "none")
        self.events[f"resume {resume}"] += 1
        if resume == "none":
            self.cursor = Cursor.parse(connected.get("revision"))
        elif resume == "current" and connected["revision"] != str(self.cursor):
            self.faults.append(f"said to be current at {connected['revision']} with {self.cursor}")
        elif resume == "resync":
            self._load()

    def _take(self, event: Event) -> None:
        cursor = Cursor.parse(event.id)
        if event.type == "goodbye" or cursor is None or cursor.revision <= self._known:
            return
        if event.type == "resync":
            self._load()
            return
        before = str(Cursor(cursor.epoch, cursor.revision - 1))
        if event.type == "sync":
            before = msgspec.json.decode(event.data)["from"]
        elif event.type == "heartbeat":
            before = str(cursor)
        if before != str(self.cursor):
            self.faults.append(f"{event.type} {cursor} after {self.cursor}")
        self.cursor = cursor

    def _load(self) -> None:
        """Load the snapshot, and only then take what follows."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._download())

    async def _download(self) -> None:
        size, tag = await download(self._port)
        self.downloads.append(size)
        self.cursor = Cursor.parse(tag)
        check(self.cursor is not None, f"the snapshot's tag {tag!r} is no cursor")
        # What the snapshot contains is no news any more.
        self._known = 0 if self.cursor is None else self.cursor.revision
        self._loading = None
        self._proceed()


async def download(port: int, *headers: str, query: str = "") -> tuple[int, str]:
    """Return the bytes of a request for the snapshot and its answer, and its tag without quotes and weakness."""
    request = [f"GET {SNAPSHOT}{query} HTTP/1.1", f"Host: {HOST}:{port}", "Connection: close"]
    text = "\r\n".join([*request, *(headers or ("Accept-Encoding: gzip",)), "", ""]).encode()
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(text)
        answer = await reader.read(-1)
    finally:
        writer.close()
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    check(head[0].split()[1] in ("200", "304"), f"the snapshot was refused: {head[0]}")
    fields = dict(line.lower().split(": ", 1) for line in head[1:])
    # The line with `Connection` is there in both directions, so that the end shows; a poller keeps its connection.
    spare = 2 * len("Connection: close\r\n")
    return len(text) + len(answer) - spare, fields.get("etag", "").removeprefix("w/").strip('"')


def _backoff() -> Backoff:
    # The waits that the protocol asks for.
    return Backoff(base_delay=1.0, max_delay=30.0, stable_after=60.0, random=random.random)


async def until(clients: list[StreamClient], limit: float, what: str) -> None:
    """Wait until all clients are current."""
    end = time.monotonic() + limit
    while late := sum(client.current_at is None for client in clients):
        check(time.monotonic() < end, f"{what}: {late} of {len(clients)} clients are not current after {limit:g} s")
        await asyncio.sleep(0.01)


async def newest(port: int) -> int:
    """Return the revision where the server is."""
    _, tag = await download(port)
    return int(tag.rpartition(":")[2])


@asynccontextmanager
async def connected(server: ServerProcess, clients: list[StreamClient]) -> AsyncIterator[None]:
    """Connect the clients, all of which are then current; hang up in the end."""
    goal = await newest(server.port)
    try:
        for first in range(0, len(clients), _AT_ONCE):
            some = clients[first : first + _AT_ONCE]
            for client in some:
                client.aim(goal)
                client.start()
            await until(some, LIMIT, "in the beginning")
        yield
    finally:
        for client in clients:
            await client.stop()


def examine(clients: list[StreamClient]) -> None:
    """See that every client got every change exactly once, and is where the others are."""
    faults = [fault for client in clients for fault in client.faults]
    check(not faults, f"{len(faults)} events did not fit, such as: {'; '.join(faults[:3])}")
    cursors = Counter(str(client.cursor) for client in clients)
    check(len(cursors) == 1, f"the clients are at different places: {cursors.most_common(3)}")


def spread(values: list[float]) -> dict[str, float]:
    """Return median, 99th percentile and the greatest."""
    ordered = sorted(values)
    p99 = ordered[-(-len(ordered) * 99 // 100) - 1]
    marks = {"p50": statistics.median(ordered), "p99": p99, "max": ordered[-1]}
    return {name: round(value, 4) for name, value in marks.items()}
