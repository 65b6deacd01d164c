"""An answer whose body is read as it arrives, and what the exceptions of doing so become."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import FlagentError
from ..wire.backoff import parse_retry_after
from .direct import DirectReader, take
from .failures import transport_error
from .hearing import Ending, Hear, Left, hear_piece

if TYPE_CHECKING:
    import httpx2

#: The most bytes of one read.
_PIECE = 64 * 1024
#: Headers that say that a body is not simply all that comes until the connection ends (RFC 9112, section 6.3).
_FRAMED = ("content-encoding", "content-length", "transfer-encoding")


class Stream:
    """An answer whose body is read as it arrives; to be closed by whoever opened it.

    A body that is all that comes until the connection ends, such as that of our server's streams, is read from the
    connection itself (`direct`) as soon as the library has given what it had read of it with the head.

    Attributes:
        status: the HTTP status code.
        content_type: value of the header, or an empty text.
        retry_after: seconds that the server asks to wait, or None.
    """

    def __init__(self, response: httpx2.Response) -> None:
        headers = response.headers
        self.status = response.status_code
        self.content_type = headers.get("content-type", "")
        self.retry_after = parse_retry_after(headers.get("retry-after"), time.time())
        self._connection: Any = response.extensions.get("network_stream")
        self._url = str(response.url.copy_with(query=None))
        self._response = response
        self._chunks: AsyncGenerator[bytes, None] = response.aiter_bytes()
        unframed = response.http_version == "HTTP/1.1" and not any(name in headers for name in _FRAMED)
        # A client of the user's may hide its connections, or have none.
        self._direct = unframed and self._connection is not None
        self._begun = False
        self._reader: DirectReader | None = None

    async def listen(self, hear: Hear, left: Left) -> Ending:
        """Give the body to `hear` as it arrives, decompressed, until that is enough, or there is nothing more.

        Args:
            hear: called with each piece; returns whether to go on. What it raises is raised here.
            left: returns after how many seconds from now it was silent for too long.

        Raises:
            TransportError: the connection broke, or the body can't be decompressed.
        """
        while self._reader is None:
            ending = await hear_piece(self._read, hear, left)
            if ending is Ending.SILENT and self._begun and self._direct and left() > 0.0:
                # What arrived while the event loop was busy is still to be read; where the body is framed, giving up a
                # read has ended all of it.
                continue
            if ending is not None:
                return ending
        ending = await self._reader.listen(hear, left)
        if ending is Ending.ENDED and self._reader.error is not None:
            raise transport_error(f"stream {self._url}", self._reader.error) from self._reader.error
        return ending

    async def _read(self) -> bytes:
        """Return what arrived; empty at the end."""
        with translated(f"stream {self._url}"):
            if self._begun and self._direct:
                piece: bytes = await self._connection.read(_PIECE)
                return piece
            piece = await anext(self._chunks, b"")
            if piece and self._direct and not self._begun:
                self._reader = take(self._connection, self.descriptor())
            self._begun = bool(piece)
            return piece

    def descriptor(self) -> int:
        """Return the file descriptor of the connection; -1 when it is closed already, or hidden."""
        opened = None if self._connection is None else self._connection.get_extra_info("socket")
        return -1 if opened is None else int(opened.fileno())

    async def aclose(self) -> None:
        """Close the connection."""
        await self._chunks.aclose()
        await self._response.aclose()


@contextmanager
def translated(what: str, timeout: float | None = None) -> Iterator[None]:
    """Turn the exceptions of the library into ours; `what` is for the message, and so is the limit in seconds."""
    import httpcore2
    import httpx2

    try:
        yield
    except FlagentError:
        raise
    except (
        *(httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError),
        # What reads a connection itself meets those below.
        *(httpcore2.NetworkError, httpcore2.TimeoutException),
        *(OSError, ValueError),
    ) as exc:
        raise transport_error(what, exc, timeout) from exc
