"""The least that a fan-out can cost in Python: what `floor.c` does, with one `os.write` for each client and event.

    python benchmarks/floor.py PORT

GET opens a stream of Server-Sent Events; the body of a POST goes to all open streams as it is, then the POST is
answered. One thread, epoll, loopback only. Requests have to come in one piece, as those of subscribers.c do.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

_PIECE = 1 << 18
_OPENING = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n: floor\n\n"
_ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


class Floor:
    """Serves streams until its process is ended."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._subscribers: dict[int, None] = {}

    def run(self) -> None:
        """Serve."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._listener.fileno():
                    self._accept()
                else:
                    self._take(descriptor)

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                client, _ = self._listener.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections[client.fileno()] = client
                self._poll.register(client, select.EPOLLIN)

    def _take(self, descriptor: int) -> None:
        try:
            piece = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return
        except ConnectionError:
            piece = b""
        head, end, body = piece.partition(b"\r\n\r\n")
        if not end:
            self._subscribers.pop(descriptor, None)
            self._connections.pop(descriptor).close()
        elif head.startswith(b"GET "):
            self._subscribers[descriptor] = None
            _put((descriptor,), _OPENING)
        else:
            _put(self._subscribers, body)
            _put((descriptor,), _ACCEPTED)


def _put(descriptors: Iterable[int], body: bytes, write: Callable[[int, bytes], int] = os.write) -> None:
    for descriptor in descriptors:
        try:
            write(descriptor, body)
        except (BlockingIOError, ConnectionError):
            # What does not fit is lost, which the subscribers would notice.
            continue


if __name__ == "__main__":
    Floor(int(sys.argv[1])).run()
