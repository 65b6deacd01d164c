"""A server: the real hub, broadcaster and opening of streams, on the simulated log, and as late as it is told to be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from flagent.core.changes import Cursor
from flagent.errors import HTTPStatusError, TransportError
from flagent.server import leaving
from flagent.server.asgi import Refusal
from flagent.server.bodies import Form
from flagent.server.broadcast import Broadcaster
from flagent.server.filters import Filter
from flagent.server.hub import Hub
from flagent.server.opening import Opening, Start
from flagent.server.routes.export import entity_tag, matches
from flagent.server.settings import Settings
from flagent.server.stream import About, Kind, Stream
from flagent.wire.codec import View, encode_snapshot
from flagent.wire.encodings import FULL

from .log import Log
from .network import Outlet, Pipe

_COUNTER = Counter("streams", "Streams.", ["resume"], registry=CollectorRegistry())


class Node:
    """One server of the log.

    Attributes:
        up: whether it answers.
        lag: seconds by which it learns of changes late.
        served: connections that it serves.
    """

    def __init__(self, log: Log, settings: Settings) -> None:
        self.up = False
        self.lag = 0.0
        self._log = log
        self._settings = settings
        self._bell = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []
        self._serving: dict[asyncio.Task[None], Pipe] = {}

    @property
    def cursor(self) -> Cursor:
        """Where it is."""
        return self.hub.cursor

    def start(self) -> None:
        """Load the newest state, and serve."""
        settings = self._settings
        self.hub = Hub(
            self._log.stored(),
            ring=settings.ring,
            sync_after=settings.sync_after,
            max_tombstones=settings.max_tombstones,
        )
        loop = asyncio.get_running_loop()
        self.broadcaster = Broadcaster(self.hub, settings, clock=loop.time)
        storage: Any = None
        self._opening = Opening(self.hub, storage, self.broadcaster, settings, _COUNTER)
        self._log.watch(self._bell.set)
        self._tasks = [loop.create_task(self._tail()), loop.create_task(self.broadcaster.run())]
        self.up = True

    def kill(self) -> None:
        """Be gone, without a word."""
        if not self.up:
            return
        self.up = False
        self._log.unwatch(self._bell.set)
        for task in [*self._tasks, *self._serving]:
            task.cancel()
        for pipe in list(self._serving.values()):
            pipe.cut()

    async def drain(self) -> None:
        """End all streams with a goodbye, and be gone."""
        await leaving.drain(self.broadcaster, window=2.0, hurried=lambda: False)
        self.kill()

    def export(self, query: Any, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Answer a request for the snapshot.

        Raises:
            TransportError: there is nobody.
        """
        if not self.up:
            raise TransportError("refused", kind="refused")
        snapshot = self.hub.snapshot
        tag = entity_tag(snapshot, Form(View.FULL, wanted=Filter.of(query, any_kind=True)))
        if matches(headers.get("If-None-Match", ""), tag):
            return 304, {"etag": tag}, b""
        return 200, {"etag": tag}, encode_snapshot(snapshot, View.FULL)

    async def open(self, query: Any, headers: Mapping[str, str], pipe: Pipe) -> None:
        """Begin a stream, which is then served.

        Raises:
            TransportError: there is nobody.
            HTTPStatusError: it takes no stream now.
        """
        if not self.up:
            raise TransportError("refused", kind="refused")
        try:
            self._opening.admit()
        except Refusal as refusal:
            raise HTTPStatusError("busy", status=503, retry_after=1.0) from refusal
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            self._serve(Start(Filter.of(query), headers.get("Last-Event-ID", "")), pipe, started)
        )
        self._serving[task] = pipe
        task.add_done_callback(lambda done: self._serving.pop(done, None))
        await started

    async def _serve(self, start: Start, pipe: Pipe, started: asyncio.Future[None]) -> None:
        reader, greeting = await self._opening.changes(start, FULL)
        owner = asyncio.current_task()
        assert owner is not None
        stream = Stream(reader, Outlet(pipe), owner=owner, about=About(Kind.SSE))
        started.set_result(None)
        self.broadcaster.open(stream, greeting)
        try:
            await pipe.closed.wait()
        finally:
            pipe.cut()
            with suppress(asyncio.CancelledError):
                await self.broadcaster.close(stream)

    async def _tail(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            if self.lag:
                await asyncio.sleep(self.lag)
            changes = self._log.after(self.hub.cursor)
            if changes is None:
                self.hub.reload(self._log.stored())
            else:
                self.hub.deliver(changes)
