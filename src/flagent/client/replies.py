"""What answers of the REST API hold: for each kind of them a function that makes the value out of the body."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from ..core.model import Constraint, Distribution, Flag, Segment, Tag, Variant
from ..errors import DecodeError, fault_of
from ..wire import dialect
from ..wire.codec import decode_snapshot
from .eval_results import decode_batch, decode_result

_T = TypeVar("_T")


class _Health(Struct):
    status: str


def health(body: bytes) -> str:
    """Return what a server says of its health."""
    return _decoded(body, _Health).status


def _decoded(body: bytes, type: type[_T]) -> _T:
    """Return the value of this type that an answer holds.

    Raises:
        DecodeError: it holds none.
    """
    try:
        try:
            return msgspec.json.decode(body, type=type)
        except msgspec.ValidationError:
            # A plain Flagent server has null where a text is promised.
            return dialect.read(body, type)
    except (ValueError, RecursionError) as exc:
        raise DecodeError(f"the answer is no {type.__name__}: {fault_of(exc)}") from exc


def _one(type: type[_T]) -> Callable[[bytes], _T]:
    return lambda body: _decoded(body, type)


def _list_of(type: type[_T]) -> Callable[[bytes], list[_T]]:
    return lambda body: _decoded(body, list[type])  # type: ignore[valid-type]


snapshot, result, results = decode_snapshot, decode_result, decode_batch
flag, flags = _one(Flag), _list_of(Flag)
tag, tags = _one(Tag), _list_of(Tag)
segment, segments = _one(Segment), _list_of(Segment)
constraint, distributions, variant = _one(Constraint), _list_of(Distribution), _one(Variant)
