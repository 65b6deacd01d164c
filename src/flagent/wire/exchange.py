"""The request for a stream, and whether its answer is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..core.changes import Cursor
from ..errors import HTTPStatusError, Refused, StreamBroken
from .backoff import SLOW_STATUSES


class StreamRequest(NamedTuple):
    """What to ask for: query parameters and headers of the stream's request."""

    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]

    @classmethod
    def of(
        cls, cursor: Cursor | None, flag_keys: Sequence[str], flag_ids: Sequence[int], tags: Sequence[str]
    ) -> StreamRequest:
        """Return what a holder at `cursor` asks for; empty sequences for all flags."""
        query = (
            ("payload", "flag"),
            *(("flagKey", key) for key in flag_keys),
            *(("flagID", str(flag_id)) for flag_id in flag_ids),
            *(("tag", tag) for tag in tags),
        )
        resume = {} if cursor is None else {"Last-Event-ID": str(cursor)}
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store", "Accept-Encoding": "identity"}
        return cls(query, headers | resume)


def check_answer(status: int, content_type: str, retry_after: float | None) -> None:
    """See that the head of an answer is that of a stream.

    Raises:
        Refused: a new try helps only when key, address or server change.
        HTTPStatusError: the server can't serve now.
        StreamBroken: it answered with something that is no stream.
    """
    if status in SLOW_STATUSES:
        raise Refused(f"the stream was refused with HTTP {status}", status=status, retry_after=retry_after)
    if status != 200:
        raise HTTPStatusError(f"the stream answered HTTP {status}", status=status, retry_after=retry_after)
    if content_type.partition(";")[0].strip().lower() != "text/event-stream":
        raise StreamBroken(
            f"the answer is {content_type[:80]!r}, not 'text/event-stream': is this the address of a flag server?",
            kind="protocol",
        )


def seconds_of(milliseconds: int, least: float, most: float) -> float:
    """Return what a server said in milliseconds, within bounds in seconds."""
    # Bounded first: an integer of JSON may be too large for a float.
    return min(max(milliseconds, least * 1000), most * 1000) / 1000
