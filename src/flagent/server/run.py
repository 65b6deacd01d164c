"""The server process: uvicorn on a socket of ours, ended by a signal without waiting for streams.

uvicorn alone waits for open streams for ever, looks only now and then whether it shall end, and exits by the signal
it got. Here SIGTERM ends the
streams with a goodbye, a few at a time over the drain window; SIGINT ends them at once; a second signal
ends requests, too; and the exit is a success. A third signal kills the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from . import collector
from .app import App, create_app
from .arrivals import Arrivals
from .capacity import allow_descriptors, make_room
from .listening import BACKLOG, bind, listen, url_of
from .prompt import PromptConnection
from .protocols import SocketConnection
from .settings import Settings
from .siblings import Siblings
from .takeover import missing

_log = logging.getLogger("flagent.server")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: Seconds that requests in progress get when the server ends; streams need none of it.
_GRACE = 5.0
#: Seconds that requests get to notice that their connection was cut.
_CUT = 0.5
#: Seconds between two looks at the time of day, as uvicorn counts them.
_TICK = 0.1
#: Seconds until an idle connection is closed; longer than the clients' own limits, which then never meet a closed one.
_KEEP_ALIVE = 75
#: Seconds between two pings on a WebSocket, and how long the answer may take.
_PING = 20.0


def serve(
    settings: Settings,
    *,
    on_ready: Callable[[str], None] | None = None,
    prepare: Callable[[], None] | None = None,
) -> None:
    """Run a server until SIGTERM or SIGINT.

    Args:
        settings: how it runs.
        on_ready: called with the server's URL when it answers; with port 0 only this tells the port.
        prepare: called first in every worker, if there are several: a function of a module, which sets up logging.

    Raises:
        ConfigurationError: the address or the database can't be used; the message names it.
        StorageUnavailable: the database does not answer.
        ServerFailed: its workers can't be kept running.
    """
    told = on_ready or _nobody
    allow_descriptors()
    if settings.workers > 1:
        from .workers import supervise

        supervise(settings, on_ready=told, prepare=prepare or _nothing)
        return

    def ready(url: str) -> None:
        collector.settle()
        told(url)

    make_room(settings.max_streams)
    Server(settings, on_ready=ready).run()


def _nobody(_url: str) -> None:
    """Be told where a server is that nobody waits for."""


def _nothing() -> None:
    """Be called where nobody has anything to do."""


class Server(uvicorn.Server):
    """A server that can be run once, in any thread.

    Attributes:
        app: the application that it serves.
        works: called on its event loop, several times a second, until it is to end: where it is not, the loop hangs.
    """

    def __init__(
        self, settings: Settings, *, on_ready: Callable[[str], None], siblings: Siblings | None = None
    ) -> None:
        """Prepare a server.

        Args:
            settings: how it runs.
            on_ready: called on its event loop, with its URL, when it answers.
            siblings: the other workers, for one of several; those leave signals to the process that started them.
        """
        self.app: App = create_app(settings, siblings)
        self.works: Callable[[], None] = _nothing
        self._obeys_signals = siblings is None
        self._settings = settings
        self._on_ready = on_ready
        self._hurried = False
        self._signals = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()
        config = uvicorn.Config(
            self.app,
            http=PromptConnection if missing() else Arrivals(),  # type: ignore[arg-type]
            ws=SocketConnection,
            ws_max_size=settings.max_body_bytes,
            # A dictionary for each connection would cost more memory than all else about it.
            ws_per_message_deflate=False,
            ws_ping_interval=_PING,
            ws_ping_timeout=_PING,
            # The application is started and stopped below, where its exceptions can reach the caller.
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE,
        )
        super().__init__(config)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop` is called or a signal comes.

        Args:
            sockets: the one to listen at, bound already; without it one is bound as the settings say.

        Raises:
            ConfigurationError: the address or the database can't be used.
            StorageUnavailable: the database does not answer.
        """
        with contextlib.ExitStack() as stack:
            if sockets is None:
                sockets = [stack.enter_context(bind(self._settings.host, self._settings.port))]
            super().run(sockets)

    def stop(self, *, hurry: bool = True) -> None:
        """Begin to end; may be called from any thread, and again.

        Args:
            hurry: end all streams at once, and not over the drain window.
        """
        self._hurried = self._hurried or hurry
        self.should_exit = True
        if self._loop is not None:
            # It may have ended already.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ending.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen."""
        self._loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as stack:
            await self.app.start()
            stack.push_async_callback(self.app.stop)
            bound = (sockets or [])[0]
            # Not left to uvloop, which keeps the error to itself.
            listen(bound, self._settings.host, self._settings.port)
            await super().startup(sockets)
            url = url_of(bound)
            _log.info("listening at %s", url)
            self._on_ready(url)
            stack.pop_all()

    async def main_loop(self) -> None:
        """Keep the time of answers, until it is to end."""
        for ticks in itertools.count():
            if await self.on_tick(ticks):
                return
            self.works()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams, while requests are still answered; then let those finish, and stop the application."""
        await self.app.drain(lambda: self._hurried)
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        await self._finish()
        await self._cut()
        await self.app.stop()
        _log.info("stopped")

    async def _finish(self) -> None:
        """Let requests in progress finish, unless it is to end at once."""
        state, pause, left = self.server_state, 0.001, _GRACE
        while (state.connections or state.tasks) and left > 0 and not self.force_exit:
            await asyncio.sleep(pause)
            left -= pause
            pause = min(2 * pause, _TICK)

    async def _cut(self) -> None:
        """Cut what is still open, so that its requests end by themselves; cancel those that do not."""
        for connection in tuple(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        if not self.server_state.tasks:
            return
        _, endless = await asyncio.wait(self.server_state.tasks, timeout=_CUT)
        for task in endless:
            _log.error("a request did not end when its connection was cut: %r", task)
            task.cancel()
        if endless:
            await asyncio.wait(endless, timeout=_CUT)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End by signals; only the main thread gets any."""
        if not self._obeys_signals or threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """Begin to end; the second signal waits for nobody, and the third kills the process."""
        self._signals += 1
        self.stop(hurry=sig == signal.SIGINT or self._signals > 1)
        if self._signals > 1:
            self.force_exit = True
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
