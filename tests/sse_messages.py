"""Reads an event stream for tests, apart from flagent's own parser, and more strictly: one form only is right."""

from __future__ import annotations

import io
import json
import socket
from types import TracebackType
from typing import Any, NamedTuple, Self


class Message(NamedTuple):
    """One block of the stream; a comment has the type `:`."""

    type: str
    data: Any
    id: str = ""
    retry: str = ""


def parse(stream: bytes) -> list[Message]:
    """Return the complete blocks of `stream`; nothing else may be in it."""
    *blocks, rest = stream.decode().split("\n\n")
    assert rest == "", f"an incomplete block: {rest!r}"
    return [_message(block) for block in blocks]


def _message(block: str) -> Message:
    if block.startswith(":"):
        return Message(":", block[1:].strip())
    fields = dict(line.split(": ", 1) for line in block.split("\n"))
    data = json.loads(fields["data"]) if "data" in fields else None
    return Message(fields.get("event", ""), data, fields.get("id", ""), fields.get("retry", ""))


class Subscriber:
    """An open stream, read from a raw socket.

    Attributes:
        status: the HTTP status.
        headers: those of the answer, names in lower case.
    """

    def __init__(
        self,
        port: int,
        query: str = "payload=flag",
        *,
        path: str = "/api/v1/realtime/sse",
        headers: dict[str, str] | None = None,
        limit: float = 10.0,
        receive_buffer: int | None = None,
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(limit)
        self.socket.connect(("127.0.0.1", port))
        lines = [f"GET {path}?{query} HTTP/1.1", "Host: test", "Accept: text/event-stream"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._file: io.BufferedReader = self.socket.makefile("rb")
        self._buffer = b""
        self._pending: list[Message] = []
        self.status = int(self._file.readline().split()[1])
        self.headers = {}
        while line := self._file.readline().strip().decode():
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self.socket.close()

    def next(self, *types: str) -> Message:
        """Return the next message of one of these types, or of any, passing over the others.

        Raises:
            EOFError: the stream ended.
            TimeoutError: nothing came within the limit.
        """
        while True:
            while self._pending:
                message = self._pending.pop(0)
                if not types or message.type in types:
                    return message
            chunk = self._chunk()
            if not chunk:
                raise EOFError("the stream ended")
            complete, separator, self._buffer = (self._buffer + chunk).rpartition(b"\n\n")
            self._pending = parse(complete + separator)

    def _chunk(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            # The end of the connection is that of the answer.
            return self._file.read1()
        length = int(self._file.readline().strip() or b"0", 16)
        chunk = self._file.read(length)
        self._file.readline()
        return chunk
