"""A real server in a thread, for tests: uvicorn, sockets, and a database in a temporary file."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
from compat.responses import check

from flagent.server.run import Server
from flagent.server.services import Services
from flagent.server.settings import Settings
from flagent.server.siblings import Siblings

_T = TypeVar("_T")
_LIMIT = 10.0


def free_port() -> int:
    """Return the number of a port at which nobody listens, and that no client's end of a connection can get.

    A client that tries a port of the range of those again and again would be connected to itself one day.
    """
    for _ in range(1000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(10_000, 32_000)))
            return int(probe.getsockname()[1])
    raise AssertionError("no port is free")


class LiveServer:
    """A context manager around a running server.

    Attributes:
        url: where it listens, such as `http://127.0.0.1:40123`.
        services: its storage, hub, editor and streams; use them on its event loop only (`call`, `run`).
        settings: how it runs.
        http: a client for its REST API, relative to `/api/v1`.
    """

    http: httpx2.Client

    def __init__(self, settings: Settings, siblings: Siblings | None = None) -> None:
        self.settings = settings
        self.url = ""
        self._started: Future[tuple[str, asyncio.AbstractEventLoop]] = Future()
        self._server = Server(settings, on_ready=self._ready, siblings=siblings)
        self._thread = threading.Thread(target=self._run, name="live server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.url, self._loop = self._started.result(_LIMIT)
        # Without TLS there are no certificates to read, which would take longer than many a test.
        self.http = httpx2.Client(
            base_url=f"{self.url}/api/v1",
            timeout=_LIMIT,
            trust_env=False,
            verify=False,
            event_hooks={"response": [check]},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self.stop()

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.url.rpartition(":")[2])

    @property
    def services(self) -> Services:
        """What its routes work with."""
        services = self._server.app.services
        assert services is not None
        return services

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await something on the server's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT)

    def call(self, function: Callable[[], _T]) -> _T:
        """Call something on the server's event loop."""

        async def work() -> _T:
            return function()

        return self.run(work())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds on the server's event loop."""

        async def work() -> None:
            while not condition():  # noqa: ASYNC110 - most conditions have no event of their own
                await asyncio.sleep(0.005)

        self.run(work())

    def create_flag(self, key: str, *, enabled: bool = False) -> int:
        """Make a flag that gives everybody the variant `on`, and return its id."""
        answer = self.http.post("/flags", json={"key": key, "description": key, "template": "simple_boolean_flag"})
        assert answer.status_code == 200, answer.text
        flag_id = int(answer.json()["id"])
        if enabled:
            self.switch(flag_id, enabled)
        return flag_id

    def switch(self, flag_id: int, enabled: bool) -> None:
        """Switch a flag on or off."""
        answer = self.http.put(f"/flags/{flag_id}/enabled", json={"enabled": enabled})
        assert answer.status_code == 200, answer.text

    def stop(self) -> None:
        """End the server and wait until it has ended; more than once does no harm."""
        self._server.stop()
        self._thread.join(_LIMIT)
        assert not self._thread.is_alive(), "the server does not end"

    def _ready(self, url: str) -> None:
        self._started.set_result((url, asyncio.get_running_loop()))

    def _run(self) -> None:
        try:
            self._server.run()
        except BaseException as exc:
            if self._started.done():
                raise
            self._started.set_exception(exc)
