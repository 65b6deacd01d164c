"""Status line and headers of an answer as bytes, for connections that are written to in uvicorn's place."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from uvicorn.server import ServerState

#: Tells that the connection ends with the answer.
CLOSE = (b"connection", b"close")

#: Heads that are kept. There are few, but tags and times to wait are in some of them.
_MOST = 64
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Heads:
    """Makes heads, and keeps them for as long as what the server adds to each is the same: a second, by the date."""

    def __init__(self) -> None:
        self._common = b""
        self._common_of: list[tuple[bytes, bytes]] | None = None
        self._made: dict[tuple[int, tuple[tuple[bytes, bytes], ...], bytes], bytes] = {}

    def of(
        self, state: ServerState, status: int, headers: tuple[tuple[bytes, bytes], ...], end: bytes = b"\r\n"
    ) -> bytes:
        """Return status line and headers; with an empty `end` for others to follow."""
        if state.default_headers is not self._common_of or len(self._made) > _MOST:
            self._common_of, self._common = state.default_headers, _fields(state.default_headers)
            self._made.clear()
        head = self._made.get((status, headers, end))
        if head is None:
            head = _STATUS_LINES[status] + self._common + _fields(headers) + end
            self._made[status, headers, end] = head
        return head


def _fields(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
