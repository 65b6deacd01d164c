"""What proxies do to an answer that they understand: compress it, or say it in HTTP/1.0."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from .faults import Chunks, Made

_CHUNKED = re.compile(rb"\r\ntransfer-encoding: chunked", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: \d+", re.IGNORECASE)


@dataclass(frozen=True)
class Gzip:
    """Compress the answer although nobody asked for that; each piece is flushed, as good proxies do."""

    async def apply(self, chunks: Chunks) -> Made:
        packer = zlib.compressobj(wbits=31)
        pieces = _recoded(chunks, b"HTTP/1.1", b"\r\nContent-Encoding: gzip")
        packed = False
        yield await anext(pieces, b"")
        async for piece in pieces:
            packed = True
            yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
        if packed:
            yield packer.flush()


@dataclass(frozen=True)
class HTTP10:
    """Answer as a server of HTTP/1.0 does: without chunks, to the end of the connection."""

    async def apply(self, chunks: Chunks) -> Made:
        async for piece in _recoded(chunks, b"HTTP/1.0", b""):
            yield piece


async def _recoded(chunks: Chunks, version: bytes, fields: bytes) -> Made:
    """Return the head with other framing, and then the body as it is."""
    held, take = b"", None
    async for chunk in chunks:
        held += chunk
        if take is None:
            head, end, rest = held.partition(b"\r\n\r\n")
            if not end:
                continue
            take, held = (_dechunked if _CHUNKED.search(head) else _whole), rest
            plain = _LENGTH.sub(b"", _CHUNKED.sub(b"", head))
            yield version + plain[8:] + fields + b"\r\nConnection: close\r\n\r\n"
        body, held = take(held)
        if body:
            yield body


_Take = Callable[[bytes], tuple[bytes, bytes]]


def _whole(held: bytes) -> tuple[bytes, bytes]:
    return held, b""


def _dechunked(held: bytes) -> tuple[bytes, bytes]:
    """Return the content of the chunks that are complete, and the rest."""
    body = b""
    while True:
        line, end, rest = held.partition(b"\r\n")
        length = int(line, 16) if end else 0
        if not end or len(rest) < length + 2:
            return body, held
        body, held = body + rest[:length], rest[length + 2 :]
