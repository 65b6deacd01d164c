"""The application of a server without the server: requests go straight to it."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from flagent.server.app import App, create_app
from flagent.server.settings import Settings

#: Streams do not end; and with the first key that is made, everything is refused that shows none.
_LEFT_OUT = ("/realtime/", "/keys")


@cache
def folder() -> Path:
    """Return a folder of this process, in memory where there is such a one: fuzzers write for each input."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="flagent-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


class Application:
    """Runs on an event loop of its own, in a thread that ends with the process.

    Attributes:
        loop: where to await `ask`.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="application", daemon=True).start()
        database = folder() / "flagent.db"
        self._app: App = create_app(Settings(port=0, database_url=f"sqlite:///{database}", max_body_bytes=1 << 20))
        asyncio.run_coroutine_threadsafe(self._begin(), self.loop).result(30)

    async def _begin(self) -> None:
        await self._app.start()
        # Something of everything, so that small ids hit.
        await self.ask("POST", "/api/v1/flags", b'{"description": "", "key": "a", "template": "simple_boolean_flag"}')
        await self.ask("POST", "/api/v1/flags/1/tags", b'{"value": "t"}')

    async def ask(self, method: str, path: str, body: bytes) -> int:
        """Return the status of the answer, whose body is dropped."""
        path, _, query = path.partition("?")
        if any(part in path for part in _LEFT_OUT):
            return 0
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method.upper(),
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("latin-1"),
            "root_path": "",
            "query_string": query.encode("latin-1"),
            "headers": [(b"host", b"fuzz"), (b"content-length", b"%d" % len(body))],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 1),
        }
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            message = next(messages, None)
            if message is None:
                await asyncio.Event().wait()
            assert message is not None
            return message

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await self._app(scope, receive, send)
        return statuses[0]
