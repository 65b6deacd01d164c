"""Answers that are much larger than they look: refused at a limit, whatever they unfold to."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
from fault_proxy import Answer, FaultProxy
from faults_parts import EVENTS, HELLO, ManagerOf, Switch, stream
from waiting import until

from flagent import DecodeError
from flagent.errors import EventTooLarge
from flagent.wire.feed import Feed

_SIZE = 128 << 20
_ZEROS = b" " * _SIZE


def _twice(body: bytes) -> bytes:
    return gzip.compress(gzip.compress(body, 1), 1)


@pytest.mark.covers("I4", "I7")
@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", lambda body: gzip.compress(body, 1)),
        ("deflate", lambda body: zlib.compress(body, 1)),
        ("br", lambda body: brotli.compress(body, quality=1)),
        ("gzip, gzip", _twice),
    ],
)
def test_snapshot_that_unfolds_to_more_than_is_accepted_is_refused_before_it_does(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    manager = follow(max_snapshot_bytes=1 << 20)
    body = compress(_ZEROS)
    fields = (f"Content-Encoding: {coding}", f"Content-Length: {len(body)}", "Content-Type: application/json")
    proxy.others(Answer("200 OK", body, fields))
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="more than 1048576 bytes"):
            manager.refresh()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < _SIZE // 4
    assert switch.shows(manager)


@pytest.mark.covers("F33", "F34", "I7")
def test_stream_that_unfolds_to_a_line_without_end_is_given_up(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = Feed.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "max_event_bytes", 1 << 20)
    manager = follow()
    proxy.streams(stream(gzip.compress(HELLO + b"data: " + _ZEROS, 1), EVENTS, "Content-Encoding: gzip"))
    proxy.end()

    until(lambda: isinstance(manager.status.last_error, EventTooLarge))
    assert switch.shows(manager)
    proxy.clear()

    switch.arrives(manager)
