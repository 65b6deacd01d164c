"""What is fuzzed: functions of bytes that return, or fail because something is wrong with us.

Each checks more than that nothing is raised: what was accepted has to hold what the rest of the program relies on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from flagent.client.answers import message_of
from flagent.client.disk import DiskCache
from flagent.client.stated import snapshot_in
from flagent.core.changes import Change, Cursor, Delta, EventType, Snapshot
from flagent.core.constraints import compile_constraint
from flagent.core.evaluation import Ruleset
from flagent.core.model import OPERATORS, Constraint
from flagent.errors import ConfigurationError, DecodeError, Diverged
from flagent.server.requests import BadMessage, read
from flagent.wire.backoff import MAX_ASKED, parse_retry_after
from flagent.wire.codec import View, decode_delta, decode_event, decode_snapshot, encode_delta, encode_snapshot
from flagent.wire.feed import Checkpoint, Feed, NeedSnapshot, Update
from flagent.wire.sse import Parser

from .application import Application, folder

_LIMIT = 1 << 20
_CONTEXT: dict[str, Any] = {"country": "DE", "age": 42, "tags": ["a", 1], "none": None, "deep": {"a": {}}}
TYPES = ("connected", "sync", "resync", "heartbeat", "goodbye", *EventType)


def stream(data: bytes) -> None:
    """A stream, cut as its first byte says, to a feed whose updates are applied."""
    size = 1 + (data[0] if data else 0)
    feed = Feed(Cursor("e", 1), max_event_bytes=_LIMIT, random=lambda: 0.5)
    held = Ruleset.compile(Snapshot.of("e", 1, ()))
    feed.opened(200, "text/event-stream", 0.0)
    for start in range(1, len(data), size):
        if feed.failure is not None:
            break
        held = _applied(feed, held, feed.received(data[start : start + size], float(start)))
    assert 0 <= feed.deadline() < float("inf")
    assert 0 <= feed.closed(1e6, feed.failure) <= 1000
    for value in feed.request().headers.values():
        # What no header can carry would never leave the process.
        assert value.isascii()
        assert value.isprintable()
    held.evaluate_all("u", _CONTEXT)


def _applied(feed: Feed, held: Ruleset, updates: list[Update]) -> Ruleset:
    while updates:
        update = updates.pop(0)
        before = feed.cursor
        if isinstance(update, NeedSnapshot):
            updates = feed.restarted(held.snapshot.cursor, 0.0)
        elif isinstance(update, Change | Delta):
            with suppress(Diverged):
                held = held.after(update, verify=False)
        else:
            assert not isinstance(update, Checkpoint) or 0 <= update.digest < 1 << 64
        after = feed.cursor
        if before is not None and after is not None and before.epoch == after.epoch:
            assert isinstance(update, NeedSnapshot) or before.revision <= after.revision
    return held


def parser(data: bytes) -> None:
    """A stream, whole and cut at each byte that is a number of the first sixteen: the same events."""
    whole, pieces = Parser(max_event_bytes=_LIMIT), Parser(max_event_bytes=_LIMIT)
    cuts, data = sorted({*data[:16]}), data[16:]
    events = whole.feed(data)
    places = [0, *(cut for cut in cuts if 0 < cut < len(data)), len(data)]
    parts = [data[start:end] for start, end in pairwise(places)]
    assert [event for part in parts for event in pieces.feed(part)] == events
    assert pieces.last_event_id == whole.last_event_id
    assert (pieces.retry_ms, pieces.signs_of_life) == (whole.retry_ms, whole.signs_of_life)


def event(data: bytes) -> None:
    """The data of one event, whose type the first byte says."""
    with suppress(DecodeError):
        decode_event(TYPES[(data[0] if data else 0) % len(TYPES)], data[1:])


def snapshot(data: bytes) -> None:
    """The body of an export: what is accepted can be evaluated, and written again."""
    try:
        decoded = decode_snapshot(data)
    except DecodeError:
        return
    _evaluable(decoded)
    if decoded.epoch:
        assert decode_snapshot(encode_snapshot(decoded, View.FULL)) == decoded
    encode_snapshot(decoded, View.COMPATIBLE)
    encode_snapshot(decoded, View.FULL, packed=True)


def delta(data: bytes) -> None:
    """A net change: what is accepted can be applied, and written again."""
    try:
        decoded = decode_delta(data)
    except DecodeError:
        return
    assert decode_delta(encode_delta(decoded)) == decoded
    origin = Snapshot.of(decoded.origin.epoch, decoded.origin.revision, ())
    with suppress(Diverged):
        _evaluable(Ruleset.compile(origin).after(decoded, verify=False).snapshot)


def _evaluable(decoded: Snapshot) -> None:
    ruleset = Ruleset.compile(decoded)
    for entity in ("", "u", "user123"):
        assert len(ruleset.evaluate_all(entity, _CONTEXT)) == len(decoded.flags)


def disk(data: bytes) -> None:
    """A file of the disk cache, whose hash is right when the first byte is even."""
    name = hashlib.sha256(b"http://server\nkey").hexdigest()[:32]
    rest = data[1:]
    right = not data or data[0] % 2 == 0
    content = hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest if right else rest
    (folder() / f"{name}.flags").write_bytes(content)
    cached = DiskCache(folder(), "http://server", "key", _LIMIT).load()
    if cached is not None:
        assert cached.age >= 0
        _evaluable(cached.snapshot)


def file(data: bytes) -> None:
    """A file of flags, YAML when the first byte is odd."""
    path = Path("flags.yaml" if data and data[0] % 2 else "flags.json")
    with suppress(DecodeError, ConfigurationError):
        _evaluable(snapshot_in(path, data[1:]))


def answer(data: bytes) -> None:
    """The body of an error, and a header that says when to come again."""
    assert len(message_of(data)) <= 300
    asked = parse_retry_after(data[:100].decode("latin-1"), 1e9)
    assert asked is None or 0 <= asked <= MAX_ASKED


def constraint(data: bytes) -> None:
    """An operator, its value, and what it is about, divided by line ends."""
    number, _, rest = data.partition(b"\n")
    value, _, subject = rest.decode("utf-8", "replace").partition("\n")
    name = OPERATORS[len(number) % len(OPERATORS)]
    holds = compile_constraint(Constraint("p", name, value[:1000]))
    for context in ({"p": subject}, {"p": [subject, 1.5]}, {"p": 10**20}, {"p": True}, {}):
        assert holds(context) in (True, False)


def socket(data: bytes) -> None:
    """A message of a WebSocket, as text when the first byte is odd."""
    packed, body = not data or data[0] % 2 == 0, data[1:]
    message: dict[str, Any] = {"bytes": body} if packed else {"text": body.decode("utf-8", "replace")}
    try:
        operation = read(message)
    except BadMessage as exc:
        msgspec.json.encode({"type": "error", "id": exc.id, "message": str(exc)})
    else:
        assert operation.id is not None


@cache
def _application() -> Application:
    return Application()


def rest(data: bytes) -> None:
    """A request: method and path in the first line, then the body. No answer is a fault of the server."""
    line, _, body = data.partition(b"\n")
    method, _, path = line.decode("latin-1").partition(" ")
    status = asyncio.run_coroutine_threadsafe(
        _application().ask(method[:10] or "GET", path[:300], body), _application().loop
    ).result(10)
    assert status < 500, f"{status} for {data[:200]!r}"


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (stream, parser, event, snapshot, delta, disk, file, answer, constraint, socket, rest)
}
