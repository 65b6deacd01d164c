"""Flags, snapshots and deltas as JSON, in two views.

The full view is the model itself. The compatible view has exactly the members that Flagent's
clients accept: one more inside a flag, and its Go client refuses the whole document. Our own
additions therefore stand beside the flags, never inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from ..core.bucketing import sliced
from ..core.changes import Cursor, Delta, FlagRef, Snapshot, digest_text
from ..core.model import Flag
from ..errors import DecodeError, fault_of
from .packing import pack

_encode = msgspec.json.Encoder().encode
_DIGEST = re.compile(r"[0-9a-f]{16}")

#: Deepest nesting of an attachment. What is read near the limit of the interpreter's stack could not be written where
#: the stack is deeper; our server accepts 32 levels.
MAX_DEPTH = 100

#: What can have other values in it, of all that JSON is decoded to.
_CONTAINERS = frozenset((dict, list))

#: The members of a flag that only the full view has.
_FULL_ONLY = ("revision", "rollout", "updatedAt", "clientVisible")
#: Left out of the export when empty: one of Flagent's clients takes null for the text "null".
_OPTIONAL = ("entityType", "notes", "createdBy", "updatedBy")


class View(StrEnum):
    """How much of a flag is shown."""

    COMPATIBLE = "compatible"
    FULL = "full"


class DeltaDocument(Struct, frozen=True, rename={"origin": "from"}):
    """A net change; without `from` it is a whole snapshot. Only in a stream it has a `clock`."""

    revision: str
    flags: tuple[Flag, ...]
    origin: str | None = None
    digest: str | None = None
    deleted: tuple[FlagRef, ...] = ()
    clock: int | msgspec.UnsetType = msgspec.UNSET


_decode_delta = msgspec.json.Decoder(DeltaDocument).decode


def compatible(flag: Flag) -> dict[str, Any]:
    """Return the members of a flag that Flagent's clients know, nulls included."""
    members: dict[str, Any] = msgspec.to_builtins(flag)
    for name in _FULL_ONLY:
        del members[name]
    return members


def encode_flag(flag: Flag, view: View) -> bytes:
    """Return one flag as JSON."""
    return _encode(flag if view is View.FULL else compatible(flag))


def encode_flags(flags: Iterable[Flag], view: View) -> bytes:
    """Return a list of flags as JSON."""
    return _encode(list(flags)) if view is View.FULL else _listed(map(compatible, flags))


def _listed(flags: Iterable[dict[str, Any]]) -> bytes:
    # One flag at a time: the dictionaries of all flags together would keep the garbage collector busy
    # for most of the time.
    return b"[" + b",".join(map(_encode, flags)) + b"]"


def encode_snapshot(
    snapshot: Snapshot,
    view: View,
    flags: Iterable[Flag] | None = None,
    *,
    packed: bool = False,
    instead_of_delta: bool = False,
) -> bytes:
    """Return the export document.

    The compatible view has the enabled flags only, each id in both spellings that Flagent's
    programs look for, and proportional flags in the sliced form that they evaluate alike.

    Args:
        snapshot: what is exported.
        view: how.
        flags: the flags that a filter lets through; None for all, and only then with the digest.
        packed: as MessagePack, not as JSON.
        instead_of_delta: with `from` null, which tells that it is no net change.
    """
    encode = pack if packed else _encode
    chosen = snapshot.flags.values() if flags is None else flags
    members: dict[str, Any] = {"from": None} if instead_of_delta else {}
    members["revision"] = str(snapshot.cursor)
    if view is View.FULL:
        members["digest"] = digest_text(snapshot.digest) if flags is None else None
        members["flags"] = list(chosen)
    else:
        members["flags"] = [msgspec.Raw(encode(_exported(flag))) for flag in chosen if flag.enabled]
    return encode(members)


def _exported(flag: Flag) -> dict[str, Any]:
    members = compatible(sliced(flag))
    for name in _OPTIONAL:
        if not members[name]:
            del members[name]
    members["snapshotId"] = members["snapshotID"]
    for variant in members["variants"]:
        variant["flagId"] = variant["flagID"]
    for segment in members["segments"]:
        segment["flagId"] = segment["flagID"]
        for constraint in segment["constraints"]:
            constraint["segmentId"] = constraint["segmentID"]
        for distribution in segment["distributions"]:
            distribution["segmentId"] = distribution["segmentID"]
            distribution["variantId"] = distribution["variantID"]
    return members


def encode_delta(delta: Delta, *, packed: bool = False) -> bytes:
    """Return a net change: the data of `sync`, and the answer to `?after=`; `packed` as MessagePack, else as JSON."""
    return (pack if packed else _encode)(document_of(delta))


def document_of(delta: Delta) -> DeltaDocument:
    """Return a net change as it is written."""
    return DeltaDocument(
        origin=str(delta.origin),
        revision=str(delta.cursor),
        digest=None if delta.digest is None else digest_text(delta.digest),
        flags=delta.flags,
        deleted=delta.deleted,
        clock=msgspec.UNSET if delta.clock is None else delta.clock,
    )


def decode_delta(body: bytes) -> Delta:
    """Return the net change that a JSON document holds.

    Raises:
        DecodeError: it is none.
    """
    try:
        document = _decode_delta(checked_text(body))
    except (msgspec.DecodeError, RecursionError) as exc:
        raise DecodeError(f"sync: {fault_of(exc)}") from exc
    origin, cursor = Cursor.parse(document.origin), Cursor.parse(document.revision)
    if origin is None or cursor is None:
        raise DecodeError(f"sync: `from` {document.origin!r} or `revision` {document.revision!r} is no cursor")
    check_depth(document.flags)
    if len({flag.id for flag in document.flags}) != len(document.flags):
        raise DecodeError(f"sync to {cursor}: two flags have the same id")
    clock = None if document.clock is msgspec.UNSET else document.clock
    return Delta(origin, cursor, parse_digest(document.digest), document.flags, document.deleted, clock)


def check_depth(flags: Iterable[Flag]) -> None:
    """Accept flags that were decoded just now, and whose attachments are not nested too deeply.

    Raises:
        DecodeError: one is.
    """
    for flag in flags:
        for variant in flag.variants:
            attachment = variant.attachment
            # What was decoded is made of dictionaries and lists themselves; hardly any has others in it.
            if attachment and not _CONTAINERS.isdisjoint(map(type, attachment.values())):
                _check_levels(flag, attachment)


def _check_levels(flag: Flag, attachment: dict[str, Any]) -> None:
    level: list[Any] = [attachment]
    for _ in range(MAX_DEPTH):
        level = [item for each in level for item in _inside(each) if isinstance(item, dict | list)]
        if not level:
            return
    raise DecodeError(f"flag {flag.key!r}: an attachment is nested deeper than {MAX_DEPTH} levels")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def parse_digest(text: str | None) -> int | None:
    """Return the digest that its wire form spells; None for None.

    Raises:
        DecodeError: it is none.
    """
    if text is None:
        return None
    if _DIGEST.fullmatch(text) is None:
        raise DecodeError(f"digest {text[:20]!r} is not made of 16 hexadecimal digits")
    return int(text, 16)


def checked_text(body: bytes) -> bytes:
    """Return `body` if it is UTF-8, all of it.

    The JSON decoder does not look at what it skips. A member whose name was damaged on the way would
    be skipped, and its default taken for what the peer said.

    Raises:
        DecodeError: it is not.
    """
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as exc:
            raise DecodeError(f"byte {exc.start} is not UTF-8: {exc.reason}") from exc
    return body
