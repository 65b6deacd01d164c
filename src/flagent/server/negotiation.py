"""In which form a client wants a body: the media type and the content coding of RFC 9110, section 12."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from enum import StrEnum

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd

    def _zstd(body: bytes) -> bytes:
        return zstd.compress(body, level=_ZSTD_LEVEL)
else:
    import zstandard

    def _zstd(body: bytes) -> bytes:
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)


#: Half the time of zlib's default, for a body that is a few percent larger.
_GZIP_LEVEL = 4
_ZSTD_LEVEL = 3
_BROTLI_QUALITY = 4
#: Tells zlib to write a gzip header.
_GZIP = 16 + zlib.MAX_WBITS


class Coding(StrEnum):
    """A content coding that bodies can have, best first: small, and quick to make."""

    ZSTD = "zstd"
    BROTLI = "br"
    GZIP = "gzip"
    IDENTITY = "identity"


class Media(StrEnum):
    """A media type that documents can have."""

    JSON = "application/json"
    MSGPACK = "application/msgpack"


def coding_of(accepted: str) -> Coding:
    """Return the coding that `Accept-Encoding` likes best; among equals, the one that we like best."""
    qualities = _qualities(accepted)
    everything = qualities.get("*", 0.0)
    liked = {coding: qualities.get(coding.value, everything) for coding in Coding}
    # What is not mentioned is allowed all the same, and less welcome than anything that is.
    liked[Coding.IDENTITY] = qualities.get("identity", 0.0)
    best = max(liked, key=lambda coding: liked[coding])
    return best if liked[best] > 0 else Coding.IDENTITY


def media_of(accepted: str) -> Media:
    """Return the media type that `Accept` likes best: JSON unless MessagePack is named."""
    qualities = _qualities(accepted)
    packed = max(qualities.get(name, 0.0) for name in (Media.MSGPACK.value, "application/vnd.msgpack"))
    return Media.MSGPACK if packed > 0 and packed >= qualities.get(Media.JSON.value, 0.0) else Media.JSON


def encoded(body: bytes, coding: Coding) -> bytes:
    """Return the body in a coding; always the same bytes, since none carries a time."""
    return _ENCODERS[coding](body)


def _gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    return compressor.compress(body) + compressor.flush()


def _brotli(body: bytes) -> bytes:
    compressed: bytes = brotli.compress(body, quality=_BROTLI_QUALITY)
    return compressed


def _same(body: bytes) -> bytes:
    return body


_ENCODERS: dict[Coding, Callable[[bytes], bytes]] = {
    Coding.ZSTD: _zstd,
    Coding.BROTLI: _brotli,
    Coding.GZIP: _gzip,
    Coding.IDENTITY: _same,
}


def _qualities(header: str) -> dict[str, float]:
    """Return what a header of the form `a;q=0.5, b` says about each name; what can't be read counts as 1."""
    found = {}
    for each in header.lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                quality = _number(value.strip())
        if name:
            found[name] = quality
    return found


def _number(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 1.0
