"""A server of raw sockets that answers exactly what a test says, right or wrong."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self


class Request(NamedTuple):
    """A request; names of headers are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def is_export(self) -> bool:
        """Whether it asks for the snapshot."""
        return self.path == "/api/v1/export/eval_cache/json"

    @property
    def is_stream(self) -> bool:
        """Whether it asks for the stream."""
        return self.path.endswith("/realtime/sse")


class Connection:
    """One connection with a request to answer."""

    def __init__(self, opened: socket.socket, closing: threading.Event) -> None:
        self._socket = opened
        self._closing = closing

    def send(self, data: bytes) -> None:
        """Send bytes as they are; a client that has gone is no error."""
        try:
            self._socket.sendall(data)
        except OSError:
            self._closing.wait(0)

    def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        """Send a whole answer; what is no bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"Content-Type": "application/json", "Content-Length": str(len(content)), "Connection": "close"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.send(f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + content)

    def begin_stream(self, *events: tuple[str, Any]) -> None:
        """Send the head of a stream, and events."""
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for name, data in events:
            self.event(name, data)

    def event(self, name: str, data: Any) -> None:
        """Send an event."""
        text = data if isinstance(data, str) else json.dumps(data)
        self.send(f"event: {name}\ndata: {text}\n\n".encode())

    def hang(self) -> None:
        """Send nothing more, and keep the connection until the server ends."""
        self._closing.wait()


class RawServer:
    """Calls `answer` in a thread for each connection, with its first request.

    Attributes:
        url: where it listens.
        requests: the requests so far.
        connections: how many connections were accepted.
    """

    def __init__(self, answer: Callable[[Request, Connection], None]) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._answer = answer
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                opened, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(opened,), daemon=True).start()

    def _serve(self, opened: socket.socket) -> None:
        with opened:
            request = _request(opened)
            if request is not None:
                self.requests.append(request)
                self._answer(request, Connection(opened, self._closing))


def _request(opened: socket.socket) -> Request | None:
    read = b""
    while b"\r\n\r\n" not in read:
        chunk = _chunk(opened)
        if not chunk:
            return None
        read += chunk
    head, _, body = read.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    # Read to its end: a socket that is closed with something unread resets the connection.
    while len(body) < int(headers.get("content-length", 0)):
        chunk = _chunk(opened)
        if not chunk:
            return None
        body += chunk
    return Request(method, path, query, headers, body)


def _chunk(opened: socket.socket) -> bytes:
    try:
        return opened.recv(65536)
    except OSError:
        return b""
