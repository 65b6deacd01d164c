"""The ASGI application: hot routes in front, everything else through Starlette, and what both work with.

The order of starting: storage, state, hub, tail of the log, broadcaster. Nothing is answered before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.types import Message, Receive, Scope, Send

from ..core.constraints import load_re2
from . import asgi, leaving, questions, spending
from .asgi import HotRoute, PromptRoute
from .bodies import Bodies
from .broadcast import Broadcaster
from .cors import cross_origin
from .downloads import Downloads
from .editor import Editor
from .evaluating import Evaluations
from .front import Front
from .gate import Gate
from .hub import Hub
from .metrics import Metrics
from .observed import observed
from .opening import Opening
from .reports import Across
from .routes import ROUTES, entity_streams, evaluation, export, sockets, streams
from .routes.answers import exception_handlers
from .services import Services
from .settings import Settings
from .siblings import Siblings
from .storage import Storage, open_storage
from .storage.tail import follow
from .takeover import Takeover
from .warnings import warnings_header
from .watching import Watching

__all__ = ["App", "Services", "create_app"]

_log = logging.getLogger("flagent.server")

#: Seconds before something that failed is started again.
_PAUSE = 1.0


class App:
    """The application of one server.

    Attributes:
        settings: how it runs.
        services: what its routes work with, from `start` to `stop`; None otherwise.
        front: answers hot routes.
    """

    def __init__(self, settings: Settings, siblings: Siblings) -> None:
        self.settings = settings
        self.services: Services | None = None
        self.front = Front()
        self._siblings = siblings
        self._resources = AsyncExitStack()
        self._entry = cross_origin(self._answer, settings)
        self._framework = Starlette(routes=ROUTES, exception_handlers=exception_handlers, lifespan=self._lifespan)

    @property
    def state(self) -> State:
        """Starlette's state, which holds `services`."""
        return self._framework.state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        # Only what pages of other origins ask has to pass what would cost as much as the rest of a hot answer.
        hot = self.front.route(scope["path"]) if scope["type"] == "http" else None
        if hot is None or asgi.header(scope, b"origin"):
            await self._entry(scope, receive, send)
        else:
            await self.front.answer(hot, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            hot = self.front.route(scope["path"])
            if hot is not None:
                await self.front.answer(hot, scope, receive, send)
                return
            send = self._counting(scope, send)
            try:
                self.front.admit(scope)
            except asgi.Refusal as refusal:
                await refusal.answer.send(send)
                return
        elif scope["type"] == "websocket":
            await self._connect(scope, receive, send)
            return
        await self._framework(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the handshake of a WebSocket."""
        try:
            self.front.admit(scope)
            socket = self.front.route(scope["path"]) if scope["path"] in sockets.PATHS else None
            if socket is None:
                raise asgi.Refusal(404, f"there is no WebSocket at {scope['path'][:200]!r}")
        except asgi.Refusal as refusal:
            await refusal.deny(send)
            return
        await socket(scope, receive, send)

    def _counting(self, scope: Scope, send: Send) -> Send:
        """Return `send` with the status counted; every further message goes straight through."""
        scope.setdefault("state", {})
        services = self.services
        if services is None:
            return send

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                services.metrics.counted(scope["path"], message["status"])
                findings = scope["state"].get(asgi.WARNINGS)
                if findings:
                    message = {**message, "headers": [*message["headers"], warnings_header(findings)]}
            await send(message)

        return counted

    async def start(self) -> None:
        """Open the storage, load the state, and begin to follow the log.

        Raises:
            ConfigurationError: the database URL can't be used.
            StorageUnavailable: the database does not answer.
        """
        async with AsyncExitStack() as stack:
            settings = self.settings
            # No evaluation shall wait for a file, as the first one of a pattern would.
            load_re2()
            storage = open_storage(settings.database_url)
            stack.push_async_callback(storage.close)
            await storage.open()
            hub = Hub(
                await storage.load(),
                ring=settings.ring,
                sync_after=settings.sync_after,
                max_tombstones=settings.max_tombstones,
            )
            broadcaster = Broadcaster(hub, settings, clock=time.monotonic)
            gate = Gate(storage, settings, revoked=broadcaster.revoke)
            await gate.open()
            _own(stack, _follow(storage, hub), "tail of the log")
            _own(stack, _forever(broadcaster.run), "broadcaster")
            _own(stack, _forever(gate.watch), "keys")
            siblings = self._siblings
            metrics = observed(hub, broadcaster, siblings.carried)
            opening = Opening(hub, storage, broadcaster, settings, metrics.opened)
            takeover = Takeover(self.front.heads)
            routes, prompt_routes = _hot_routes(hub, opening, gate, settings, metrics, takeover)
            self.front.open(routes, prompt_routes if takeover.possible else {}, gate, metrics)
            editor = Editor(storage, hub)
            services = Services(settings, storage, hub, editor, broadcaster, gate, metrics, siblings)
            self.services = self.state.services = services
            _join(services)
            stack.push_async_callback(siblings.close)
            self._resources = stack.pop_all()

    async def drain(self, hurried: Callable[[], bool]) -> None:
        """End all streams with a goodbye, over the drain window or, once `hurried` says so, at once."""
        if self.services is not None:
            window, workers = self.settings.drain_window, self.settings.workers
            await leaving.drain(self.services.broadcaster, window=window, hurried=hurried, workers=workers)

    async def stop(self) -> None:
        """Let go of everything that `start` took."""
        self.services = None
        self.front.close()
        await self._resources.aclose()

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        # Used by other servers than our own (`run`), which starts and stops the application itself.
        await self.start()
        try:
            yield
        finally:
            await self.drain(lambda: True)
            await self.stop()


def create_app(settings: Settings, siblings: Siblings | None = None) -> App:
    """Return the application, not started; it also starts and stops by ASGI's lifespan events.

    Args:
        settings: how it runs.
        siblings: the other workers of the same server, for one that has several.
    """
    return App(settings, Siblings() if siblings is None else siblings)


def _hot_routes(
    hub: Hub, opening: Opening, gate: Gate, settings: Settings, metrics: Metrics, takeover: Takeover
) -> tuple[dict[str, HotRoute], dict[str, PromptRoute]]:
    bodies, downloads = Bodies(hub), Downloads(settings)
    watching, evaluations = Watching(hub, opening), Evaluations(hub, settings, metrics.evaluated)
    event_streams = streams.EventStreams(opening.broadcaster, takeover, settings)
    stream = streams.StreamRoute(opening, event_streams)
    entity_stream = entity_streams.EntityStreamRoute(opening, watching, event_streams, settings)
    socket = sockets.SocketRoute(hub, opening, watching, evaluations, gate, settings)
    metrics.gauge("bodies_made", "Snapshots and net changes encoded or compressed.", lambda: bodies.made)
    metrics.gauge("streams_refused", "Streams refused because they came too early.", lambda: opening.admission.refused)
    metrics.gauge("downloads", "Snapshots on their way.", lambda: len(downloads), Across.SUM)
    metrics.gauge("downloads_refused", "Snapshots refused because too many were.", lambda: downloads.refused)
    snapshot = export.ExportRoute(hub, bodies, downloads)
    one, batch = evaluation.EvaluationRoute(evaluations, settings), evaluation.BatchRoute(evaluations, settings)
    routes: dict[str, HotRoute] = {
        **dict.fromkeys(streams.PATHS, stream),
        **dict.fromkeys(entity_streams.PATHS, entity_stream),
        **dict.fromkeys(sockets.PATHS, socket),
        export.PATH: snapshot,
        evaluation.PATH: one,
        evaluation.BATCH_PATH: batch,
    }
    return routes, {
        **dict.fromkeys(streams.PATHS, stream.at_once),
        **dict.fromkeys(entity_streams.PATHS, entity_stream.at_once),
        export.PATH: snapshot.at_once,
        evaluation.PATH: one.at_once,
        evaluation.BATCH_PATH: batch.at_once,
    }


def _join(services: Services) -> None:
    """Work together with the other workers of this server, if there are any."""
    siblings, gate = services.siblings, services.gate
    if siblings.alone:
        return
    services.storage.committed = siblings.wake
    services.editor.delivered = partial(questions.served, services)
    gate.passed = spending.Spending(siblings.send).add
    siblings.listen(
        woken=services.storage.hinted,
        told=lambda message: gate.spend(spending.decode(message)),
        answer=partial(questions.answered, services),
    )


def _own(stack: AsyncExitStack, work: Awaitable[None], name: str) -> None:
    """Run `work` until the stack ends."""
    task = asyncio.ensure_future(work)
    if isinstance(task, asyncio.Task):
        task.set_name(name)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)


async def _follow(storage: Storage, hub: Hub) -> None:
    while True:
        try:
            await follow(storage, hub.cursor.revision, hub.deliver)
        except Exception:  # noqa: BLE001 - the top of a task that must not end
            _log.exception("the log can't be followed after revision %d, its state is loaded anew", hub.cursor.revision)
        await asyncio.sleep(_PAUSE)
        try:
            hub.reload(await storage.load())
        except Exception:  # noqa: BLE001 - tried again
            _log.exception("the state can't be loaded")


async def _forever(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - the top of a task that must not end
            _log.exception("a task of the server failed and is started again")
        await asyncio.sleep(_PAUSE)
