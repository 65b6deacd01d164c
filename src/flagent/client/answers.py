"""What an answer that is no success says, as an exception."""

from __future__ import annotations

import time
from typing import Any, TypeVar

import msgspec

from ..errors import HTTPStatusError
from ..wire.backoff import parse_retry_after
from .transport import Answer

_E = TypeVar("_E", bound=HTTPStatusError)

_LONGEST = 300


def failure(what: str, answer: Answer, kind: type[_E]) -> _E:
    """Return the exception for an answer; the message has what the server says about it."""
    said = message_of(answer.body)
    return kind(
        f"{what}: HTTP {answer.status}{f', {said}' if said else ''}",
        status=answer.status,
        retry_after=parse_retry_after(answer.headers.get("retry-after"), time.time()),
    )


def message_of(body: bytes) -> str:
    """Return the text of an error in any of the forms that our and Flagent's server have; empty for another."""
    try:
        document: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        text = body[: 4 * _LONGEST].decode("utf-8", "replace").strip()
        return "" if text.startswith("<") else text[:_LONGEST]
    if not isinstance(document, dict):
        return ""
    said = document.get("message") or document.get("error") or ""
    return said[:_LONGEST] if isinstance(said, str) else ""
