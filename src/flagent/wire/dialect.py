"""What a Flagent server says in words of its own, put into ours: input only.

Its export spells ids `flagId`, `segmentId` and `variantId`, shows texts and lists that are not
there as null, and leaves members out; the clients generated from its API description fail on that.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ..core.model import Flag

_T = TypeVar("_T")

_SPELLINGS = {"flagId": "flagID", "segmentId": "segmentID", "variantId": "variantID", "snapshotId": "snapshotID"}
#: Members whose null means that they are not there; elsewhere null is a value of its own.
_NOT_NULL = ("description", "snapshotID")
#: The lists that hold parts of a flag; whatever else is inside a flag is its user's own.
_PARTS = ("segments", "constraints", "distributions", "variants", "tags")


_decode = msgspec.json.Decoder().decode


def read_flag(body: msgspec.Raw) -> Flag:
    """Return the flag that a Flagent server spells.

    One flag at a time, and not the whole export: the dictionaries of all flags together would keep
    the garbage collector busy for most of the time.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return msgspec.convert(_respelled(_decode(body)), Flag)


def read(body: bytes, type: type[_T]) -> _T:
    """Return the value, of flags or parts of them, that an answer of a Flagent server holds.

    Raises:
        msgspec.DecodeError: it holds none.
    """
    value = _decode(body)
    parts = value if isinstance(value, list) else [value]
    for part in parts:
        _respelled(part)
    return msgspec.convert(value, type)


def _respelled(part: Any) -> Any:
    """Put a flag or a part of one, which nobody else has, into our words, and return it."""
    if not isinstance(part, dict):
        return part
    for theirs, ours in _SPELLINGS.items():
        if theirs in part:
            # With both spellings there, ours counts.
            part.setdefault(ours, part.pop(theirs))
    for name in _NOT_NULL:
        if name in part and part[name] is None:
            del part[name]
    for name in _PARTS:
        if name not in part:
            continue
        if part[name] is None:
            del part[name]
        elif isinstance(part[name], list):
            for each in part[name]:
                _respelled(each)
    return part
