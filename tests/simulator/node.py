"""A server: the real routes, hub, broadcaster and tail of the log, on a simulated database and network.

What is left out is what `server.app` puts around them: the gate with its keys, and Starlette, through which neither
streams nor snapshots go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from flagent.core.model import Flag
from flagent.errors import StorageUnavailable, TransportError
from flagent.server import asgi, leaving
from flagent.server.app import _follow, _forever
from flagent.server.bodies import Bodies
from flagent.server.broadcast import Broadcaster
from flagent.server.downloads import Downloads
from flagent.server.editor import Editor
from flagent.server.gate import ANYONE
from flagent.server.heads import Heads
from flagent.server.hub import Hub
from flagent.server.metrics import Metrics
from flagent.server.opening import Opening
from flagent.server.routes import export, streams
from flagent.server.settings import Settings
from flagent.server.takeover import Takeover

from .database import Database, View
from .network import Pipe, Socket


class Node:
    """One server of the log.

    Attributes:
        up: whether it answers.
        lag: seconds by which it sees commits late.
        begun: how many streams it was asked for.
    """

    def __init__(self, database: Database, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.up = False
        self.lag = 0.0
        self.database_down = False
        self.begun = 0
        self._database = database
        self._settings = settings
        self._loop = loop
        self._view: View | None = None
        self._starting: asyncio.Task[None] | None = None
        self._tasks: dict[asyncio.Task[Any], Pipe | None] = {}

    def disturb(self, *, lag: float | None = None, database_down: bool | None = None) -> None:
        """Let its view of the database be late, or fail; also after it was started anew."""
        self.lag = self.lag if lag is None else lag
        self.database_down = self.database_down if database_down is None else database_down
        if self._view is not None:
            self._view.lag, self._view.down = self.lag, self.database_down

    def start(self) -> None:
        """Begin to load the newest state, and to serve."""
        if self.up or self._starting is not None:
            return
        self._view = View(self._database, self._loop)
        self.disturb()
        self._starting = self._loop.create_task(self._start(self._view))

    async def _start(self, view: View) -> None:
        settings: Settings = self._settings
        storage: Any = view
        stored = None
        while stored is None:
            # Whoever runs the process starts it again.
            with suppress(StorageUnavailable):
                stored = await storage.load()
            if stored is None:
                await asyncio.sleep(1.0)
        self.hub = hub = Hub(
            stored, ring=settings.ring, sync_after=settings.sync_after, max_tombstones=settings.max_tombstones
        )
        self.broadcaster = Broadcaster(hub, settings, clock=self._loop.time)
        self.editor = Editor(storage, hub)
        opening = Opening(hub, storage, self.broadcaster, settings, Metrics().opened)
        stream = streams.StreamRoute(opening, streams.EventStreams(self.broadcaster, Takeover(Heads()), settings))
        self._routes: dict[str, Any] = dict.fromkeys(streams.PATHS, stream)
        self._routes[export.PATH] = export.ExportRoute(hub, Bodies(hub), Downloads(settings))
        self._own(_follow(storage, hub))
        self._own(_forever(self.broadcaster.run))
        self.up, self._starting = True, None

    def kill(self) -> None:
        """Be gone, without a word."""
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
        if self._view is not None:
            self._view.close()
            self._view = None
        self.up = False
        tasks, self._tasks = self._tasks, {}
        for task, pipe in tasks.items():
            task.cancel()
            if pipe is not None:
                pipe.cut()

    async def drain(self) -> None:
        """End all streams with a goodbye, and be gone."""
        await leaving.drain(self.broadcaster, window=self._settings.drain_window, hurried=lambda: False)
        self.kill()

    async def edit(self, decide: Callable[..., Sequence[Any]]) -> list[tuple[str, int, int]]:
        """Take an edit of an administrator; return log, id and revision of what was acknowledged."""
        view = self._view
        if view is None or not self.up:
            return []
        work = self._own(self.editor.edit("admin", lambda state: decide(state.snapshot, state.ids)))
        try:
            flags: tuple[Flag, ...] = await asyncio.shield(work)
        except (StorageUnavailable, asyncio.CancelledError):
            return []
        # It may have been restored while the editor waited for its own change.
        return [(view.committed.get((flag.id, flag.revision), view.epoch), flag.id, flag.revision) for flag in flags]

    def serve(self, path: str, query: Any, headers: Mapping[str, str], pipe: Pipe) -> None:
        """Begin to answer a request.

        Raises:
            TransportError: there is nobody.
        """
        if not self.up:
            raise TransportError("refused", kind="refused")
        self.begun += path in streams.PATHS
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": urlencode(list(query)).encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("client", pipe.number),
            "state": {asgi.ACCESS: ANYONE, asgi.TRANSPORT: Socket(pipe)},
        }
        self._own(self._answer(self._routes[path], scope, pipe), pipe)

    async def _answer(self, route: Any, scope: dict[str, Any], pipe: Pipe) -> None:
        try:
            try:
                answer = await route(scope, pipe.receive, pipe.send)
            except asgi.Refusal as refusal:
                answer = refusal.answer
            if isinstance(answer, asgi.Answer):
                await answer.send(pipe.send)
        finally:
            if not pipe.closed.is_set():
                pipe.cut()

    def _own(self, work: Coroutine[Any, Any, Any], pipe: Pipe | None = None) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks[task] = pipe
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task
