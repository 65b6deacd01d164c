"""A call of the REST API as a value: what is sent, and what to make of the answer. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from ..errors import DecodeError
from ..wire import dialect
from .address import API

_T = TypeVar("_T")
_encode = msgspec.json.Encoder().encode

#: Asks for all members of flags; Flagent's server ignores it.
FULL = {"view": "full"}


class Call(Struct, Generic[_T], frozen=True):
    """A request, and how its answer is read.

    Attributes:
        method: HTTP method.
        path: below the server's root, with the query.
        decode: makes the result out of the body.
        body: JSON document that is sent, or None.
    """

    method: str
    path: str
    decode: Callable[[bytes], _T]
    body: bytes | None = None

    @property
    def edits(self) -> bool:
        """Whether it changes flags."""
        return self.method != "GET" and self.path.startswith(f"{API}/flags")


def flag_path(flag_id: int, *parts: str | int) -> str:
    """Return the path of a flag, or of something below it."""
    # `int` refuses what would lead to another path.
    path = "/".join([API, "flags", str(int(flag_id)), *(str(part) for part in parts)])
    shows_flag = not parts or parts[0] in ("enabled", "restore")
    return with_query(path, FULL) if shows_flag else path


def with_query(path: str, query: Mapping[str, Any]) -> str:
    """Return the path with those members of the query that are not None."""
    given = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }
    return f"{path}?{urlencode(given)}" if given else path


def json_body(**members: Any) -> bytes:
    """Return a JSON object of those members that are not None: Flagent's server does not take null for "not there"."""
    return _encode({name: value for name, value in members.items() if value is not None})


def decoded(body: bytes, type: type[_T]) -> _T:
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
        raise DecodeError(f"the answer is no {type.__name__}: {exc}") from exc


def one(type: type[_T]) -> Callable[[bytes], _T]:
    """Return the decoder of answers that hold one value."""
    return lambda body: decoded(body, type)


def list_of(type: type[_T]) -> Callable[[bytes], list[_T]]:
    """Return the decoder of answers that hold a list of values."""
    return lambda body: decoded(body, list[type])  # type: ignore[valid-type]


def nothing(_body: bytes) -> None:
    """Decode an answer that holds nothing."""
