"""A real nginx in front of a server, and a reader of streams in whatever form it gives them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2
import pytest
from sse_messages import Message, parse
from waiting import until

#: Seconds in which everything has to arrive: milliseconds, in fact, and for ever with a proxy that buffers.
LIMIT = 5.0
GZIP = "gzip on; gzip_types *; gzip_proxied any;"
#: What a location for WebSockets needs.
UPGRADE = """
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
"""
_CONFIG = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};{location}
        }}
    }}
}}
"""


def program() -> str:
    """Return nginx's path; a test without it is skipped, but never in continuous integration."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if found is None:
        reason = "there is no nginx: install it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Nginx:
    """An nginx in front of a server; a context manager that can also be stopped and started within.

    Attributes:
        port: where it listens, from beginning to end, on 127.0.0.1.
    """

    def __init__(self, program: str, folder: Path, upstream: int, *, http: str = "", location: str = "") -> None:
        self._log = folder / "error.log"
        # Bound and never listening: nobody else gets the port, and nginx, which sets the same option, does.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port = int(self._reserved.getsockname()[1])
        # As root its workers would be somebody else, who can't enter the folder.
        user = "user root;" if os.geteuid() == 0 else ""
        config = folder / "nginx.conf"
        config.write_text(
            _CONFIG.format(user=user, folder=folder, port=self.port, upstream=upstream, http=http, location=location)
        )
        self._command = [program, "-p", str(folder), "-c", str(config)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._reserved.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers)

    def stop(self) -> None:
        """End it, with all its connections."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"nginx ended: {self._log.read_text() if self._log.exists() else ''}"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), LIMIT):
            return True
        return False


class Stream:
    """An open stream in whatever framing and compression the proxy gives it.

    Attributes:
        headers: those of the answer.
    """

    def __init__(self, proxy: Nginx, address: str, headers: dict[str, str] | None = None) -> None:
        self._stack = ExitStack()
        client = self._stack.enter_context(httpx2.Client(base_url=proxy.url, timeout=LIMIT, trust_env=False))
        answer = self._stack.enter_context(client.stream("GET", f"/api/v1/realtime/{address}", headers=headers))
        assert answer.status_code == 200, answer.read()
        self.headers = answer.headers
        self._chunks = answer.iter_bytes()
        self._buffer = b""
        self._pending: list[Message] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def next(self, *types: str) -> Message:
        """Return the next message of one of these types, passing over the others.

        Raises:
            httpx2.ReadTimeout: nothing came within the limit.
            StopIteration: the stream ended.
        """
        while True:
            while self._pending:
                message = self._pending.pop(0)
                if message.type in types:
                    return message
            complete, separator, self._buffer = (self._buffer + next(self._chunks)).rpartition(b"\n\n")
            self._pending = parse(complete + separator)
