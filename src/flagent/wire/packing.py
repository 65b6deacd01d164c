"""MessagePack for values that came as JSON, whose numbers may be larger than MessagePack has room for."""

from __future__ import annotations

from typing import Any

import msgspec

_encode = msgspec.msgpack.Encoder().encode
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


def pack(value: Any) -> bytes:
    """Return the value as MessagePack.

    An integer of more than 64 bits, which only an attachment can hold, becomes the nearest float, as in
    every reader of JSON that has no larger numbers; one beyond all floats becomes its digits as a text.
    """
    try:
        return _encode(value)
    except OverflowError:
        return _encode(_narrowed(msgspec.to_builtins(value)))


def _narrowed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _narrowed(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_narrowed(member) for member in value]
    if isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        try:
            return float(value)
        except OverflowError:
            return str(value)
    return value
