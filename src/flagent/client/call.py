"""A call of the REST API as a value: what is sent, and what to make of the answer. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlencode

from .address import API

if TYPE_CHECKING:
    from . import replies as replies  # noqa: PLC0414 - others have it from here
else:

    class _Replies:
        """The functions of `replies`, each of which finds itself there when it is called: with the first answer."""

        def __getattr__(self, name: str) -> Callable[[bytes], Any]:
            def decode(body: bytes) -> Any:
                from . import replies

                return getattr(replies, name)(body)

            return decode

    replies = _Replies()

_T = TypeVar("_T")

#: Asks for all members of flags; Flagent's server ignores it.
FULL = {"view": "full"}


class Call(NamedTuple, Generic[_T]):
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
    # Loaded with what makes calls.
    from msgspec.json import encode

    return encode({name: value for name, value in members.items() if value is not None})


def nothing(_body: bytes) -> None:
    """Decode an answer that holds nothing."""
