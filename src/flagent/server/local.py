"""A server inside this process, on flags that are gone with it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import Self

from ..errors import ConfigurationError
from .listening import bind
from .run import Server
from .settings import Settings

LOCALHOST = "127.0.0.1"
#: Seconds; a start takes a tenth of one, an end at most as long as the requests in progress.
_LIMIT = 30.0


class LocalServer:
    """A context manager around a server in a thread of its own.

    Args:
        port: the port that is tried first; any other that is free is taken when it is not.

    Attributes:
        url: where it listens.
    """

    def __init__(self, port: int) -> None:
        self.url = ""
        self._port = port
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="flagent-"))
            try:
                listening = stack.enter_context(bind(LOCALHOST, self._port))
            except ConfigurationError:
                listening = stack.enter_context(bind(LOCALHOST, 0))
            ready: Future[str] = Future()
            server = Server(
                Settings(host=LOCALHOST, database_url=f"sqlite:///{folder}/flags.db"), on_ready=ready.set_result
            )

            def run() -> None:
                try:
                    server.run([listening])
                except Exception as exc:
                    if ready.done():
                        raise
                    ready.set_exception(exc)

            thread = threading.Thread(target=run, name="flagent local server", daemon=True)
            thread.start()
            stack.callback(thread.join, _LIMIT)
            stack.callback(server.stop)
            self.url = ready.result(_LIMIT)
            self._resources = stack.pop_all()
        return self

    def is_at(self, port: int) -> bool:
        """Return whether it listens at this port; 0 stands for any."""
        return port == 0 or self.url.endswith(f":{port}")

    def __exit__(self, *_: object) -> None:
        self._resources.close()
