"""In which form a client wants a body."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagent.server.negotiation import Coding, Media, coding_of, encoded, media_of


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("gzip", "gzip"),
        ("deflate, GZIP;q=0.5", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1.0, br;q=0.9", "gzip"),
        ("*", "zstd"),
        ("br;q=0, zstd;q=0, *", "gzip"),
        ("gzip ; q = 1.0", "gzip"),
        ("", "identity"),
        ("identity", "identity"),
        ("deflate", "identity"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.000", "identity"),
        ("*;q=0", "identity"),
        ("identity;q=1, gzip;q=0.5", "identity"),
        ("gzip;q=high", "gzip"),
    ],
)
def test_the_coding_that_the_client_likes_best(accepted: str, expected: str) -> None:
    assert coding_of(accepted).value == expected


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", Media.JSON),
        ("*/*", Media.JSON),
        ("application/json", Media.JSON),
        ("application/msgpack", Media.MSGPACK),
        ("application/vnd.msgpack", Media.MSGPACK),
        ("application/msgpack, application/json;q=0.5", Media.MSGPACK),
        ("application/msgpack;q=0.5, application/json", Media.JSON),
        ("application/msgpack;q=0", Media.JSON),
        ("text/html, application/msgpack;q=0.1, */*", Media.MSGPACK),
    ],
)
def test_json_unless_messagepack_is_named(accepted: str, expected: Media) -> None:
    assert media_of(accepted) is expected


@given(st.text(max_size=60))
def test_no_header_is_too_odd(header: str) -> None:
    assert coding_of(header) in Coding
    assert media_of(header) in Media


@pytest.mark.parametrize("coding", Coding)
def test_a_body_is_the_same_bytes_each_time(coding: Coding) -> None:
    body = b'{"flags":[]}' * 1000

    assert encoded(body, coding) == encoded(body, coding)
    assert len(encoded(body, coding)) <= len(body)


def test_gzip_is_gzip() -> None:
    assert zlib.decompress(encoded(b"flags", Coding.GZIP), 16 + zlib.MAX_WBITS) == b"flags"
