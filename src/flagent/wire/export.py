"""Reading the export document: one flag at a time, and only those that are not known from the last one.

Decoding 10,000 flags in one go would block every thread of the program for its whole duration, and most exports that
are loaded again differ in a flag or two.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import filterfalse
from operator import attrgetter
from typing import NamedTuple, cast

import msgspec
from msgspec import Struct, ValidationError

from ..core.changes import Cursor, Snapshot, digest_text, flag_hash, text_hash
from ..core.model import Flag
from ..errors import DecodeError, fault_of
from . import dialect
from .views import View, check_depth, checked_text, encode_flag

_MASK = 2**64 - 1
#: Flags that are hashed without a break, which takes less than a millisecond.
_PART = 1000
#: Flags that are decoded without a break, which takes about as long.
_FEW = 100


class _Document(Struct, frozen=True):
    """A snapshot, or the part of it that a filter lets through."""

    revision: str | None = None
    digest: str | None = None
    flags: tuple[msgspec.Raw, ...] | None = None


_decode_document = msgspec.json.Decoder(_Document).decode
_key_of, _id_of = attrgetter("key"), attrgetter("id")
_decode_flag = msgspec.json.Decoder(Flag).decode


def decode_snapshot(body: bytes) -> Snapshot:
    """Return the snapshot that an export document holds; see `SnapshotReader.read`."""
    return SnapshotReader().read(body)


class _Last(NamedTuple):
    """What was read last: the flags by the hash of their text, their digest, and whether it came from our servers.

    The flags by key and the keys by id are those of the snapshot, which are not altered.
    """

    known: dict[int, Flag]
    digest: int
    ours: bool
    by_key: dict[str, Flag]
    keys: dict[int, str]


_NOTHING = _Last({}, 0, ours=True, by_key={}, keys={})


class SnapshotReader:
    """Reads one export document after the other.

    It remembers the flags of the last one, by a hash of their text. With 64 bits and a key that Python draws for each
    process, that two of a million are mistaken for each other is as good as impossible, and they would not give the
    digest that the document announces.
    """

    def __init__(self) -> None:
        # One reference: a read that was given up may still go on in its thread beside the next one.
        self._last = _NOTHING

    def read(self, body: bytes) -> Snapshot:
        """Return the snapshot that an export document holds: ours in either view, or a Flagent server's.

        A document without a cursor, which is what Flagent's server sends, has the epoch `""` and the
        revision 0.

        Raises:
            DecodeError: it is no such document, names a flag twice, or its digest is another one.
        """
        try:
            return self._read(body)
        except DecodeError:
            self._last = _NOTHING
            raise

    def _read(self, body: bytes) -> Snapshot:
        document = _document(body)
        texts, cursor = document.flags, Cursor("", 0) if document.revision is None else Cursor.parse(document.revision)
        if texts is None:
            raise DecodeError("snapshot: `flags` is missing")
        if cursor is None:
            raise DecodeError(f"snapshot: `revision` {document.revision!r} is no cursor")
        ours = document.revision is not None
        # The same text need not mean the same from both kinds of servers.
        last = self._last if self._last.ours is ours else _NOTHING
        found = _flags(texts, last, ours=ours)
        digest = _digest(last.digest - sum(map(flag_hash, found.gone)), found, document.digest)
        by_key, keys = _named(found, last)
        if not len(by_key) == len(keys) == len(texts):
            raise DecodeError(f"snapshot {cursor}: two flags have the same key or id")
        if document.digest is not None and document.digest != digest_text(digest):
            announced = f"{document.digest[:16]!r} as announced"
            raise DecodeError(f"snapshot {cursor}: digest is {digest_text(digest)}, not {announced}")
        self._last = _Last(found.known, digest, ours, by_key, keys)
        return Snapshot(cursor.epoch, cursor.revision, by_key, keys, digest)


class _Found(NamedTuple):
    """The flags of a document, also by the hash of their text; those that are new, with their texts, and those gone."""

    flags: list[Flag]
    known: dict[int, Flag]
    fresh: list[Flag]
    texts: list[msgspec.Raw]
    gone: list[Flag]


def _flags(texts: Sequence[msgspec.Raw], last: _Last, *, ours: bool) -> _Found:
    """Return the flags; only those that are new are decoded."""
    names: list[int] = []
    # In parts, between which other threads have a turn.
    for start in range(0, len(texts), _PART):
        names += map(hash, map(bytes, texts[start : start + _PART]))
    found = list(map(last.known.get, names))
    numbers = [number for number, flag in enumerate(found) if flag is None]
    fresh: list[Flag] = []
    for start in range(0, len(numbers), _FEW):
        fresh += _decoded(texts, numbers[start : start + _FEW], ours=ours)
    check_depth(fresh)
    for number, flag in zip(numbers, fresh, strict=True):
        found[number] = flag
    flags = cast("list[Flag]", found)
    known = dict(zip(names, flags, strict=True))
    gone = [last.known[name] for name in filterfalse(known.__contains__, last.known)]
    return _Found(flags, known, fresh, [texts[number] for number in numbers], gone)


def _named(found: _Found, last: _Last) -> tuple[dict[str, Flag], dict[int, str]]:
    """Return the flags by key and the keys by id; fewer than there are flags if two have the same."""
    flags, fresh = found.flags, found.fresh
    if len(fresh) > len(flags) // 2:
        by_key = dict(zip(map(_key_of, flags), flags, strict=True))
        return by_key, dict(zip(map(_id_of, flags), by_key, strict=False))
    # Copying a dictionary takes a tenth of making it; a flag that was altered keeps its place in it.
    by_key, keys = last.by_key.copy(), last.keys.copy()
    altered, there = {flag.key for flag in fresh}, {flag.id for flag in fresh}
    for flag in found.gone:
        if flag.key not in altered:
            del by_key[flag.key]
        if flag.id not in there:
            del keys[flag.id]
    by_key.update((flag.key, flag) for flag in fresh)
    keys.update((flag.id, flag.key) for flag in fresh)
    return by_key, keys


def _document(body: bytes) -> _Document:
    try:
        return _decode_document(checked_text(body))
    except (msgspec.DecodeError, RecursionError) as exc:
        raise DecodeError(f"snapshot: {fault_of(exc)}") from exc


def _digest(rest: int, found: _Found, announced: str | None) -> int:
    """Return the digest of the rest and of what was decoded.

    Our servers send a flag in exactly the text that it is encoded to here. So when the digest of what they sent is the
    one that they announce, encoding it all again would say nothing new, but take twice as long. A server that knows
    more about flags than this client does sends another text.
    """
    fresh, texts = found.fresh, found.texts
    if announced is not None and fresh and encode_flag(fresh[0], View.FULL) == bytes(texts[0]):
        digest = (rest + sum(map(text_hash, texts))) & _MASK
        if digest_text(digest) == announced:
            return digest
    return (rest + sum(map(flag_hash, fresh))) & _MASK


def _decoded(texts: Sequence[msgspec.Raw], numbers: list[int], *, ours: bool) -> list[Flag]:
    """Return the flags of these numbers."""
    if ours:
        # Without a step of Python for each; who is wrong is found out below.
        with suppress(msgspec.DecodeError, RecursionError):
            return list(map(_decode_flag, [texts[number] for number in numbers]))
    return [_flag(texts[number], number, ours) for number in numbers]


def _flag(text: msgspec.Raw, number: int, ours: bool) -> Flag:
    if ours:
        try:
            return _decode_flag(text)
        except ValidationError as strict:
            # Spelled differently, perhaps; what it says is wrong is worth telling only in our own terms.
            try:
                return dialect.read_flag(text)
            except (msgspec.DecodeError, RecursionError):
                raise _refusal(strict, number) from strict
        except (msgspec.DecodeError, RecursionError) as exc:
            raise _refusal(exc, number) from exc
    try:
        # What is optional would be passed over if it is spelled in a Flagent server's way.
        return dialect.read_flag(text)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise _refusal(exc, number) from exc


def _refusal(error: Exception, number: int) -> DecodeError:
    said, _, path = fault_of(error).partition(" - at `$")
    return DecodeError(f"snapshot: {said} - at `$.flags[{number}]{path or '`'}")
