"""Heads of requests that were read before, which need no parser when they come again.

Programs ask in the same words again and again, and so do all the processes of one program: from one evaluation to the
next only the body differs, from one look at the snapshot to the next nothing, and those that open streams tell the same
tag, or where they stand. What a head means depends on its bytes alone. So what the parser has made of a head that was
answered at once is kept for the next request that begins with the very same bytes, but for the headers by which tracing
and proxies tell requests apart: nothing that is answered at once reads them.

Keys are among these bytes. They stay in memory as long as the head does; whether they are in force is asked each time.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct
from starlette.types import Scope

from .asgi import DERIVED, Answer, Begun

#: What is kept of heads at most: how many, and the bytes of each.
_MOST_HEADS = 128
_MOST_BYTES = 1024
#: Heads that came once, and are kept if they come again: those that tell the time, or a number of their own, never do.
_MOST_SEEN = 1024
_END = b"\r\n\r\n"
#: Headers that differ from one request to the next, and mean nothing to us.
_PASSED_OVER = (
    *("traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled"),
    *("x-request-id", "x-correlation-id", "request-id", "sentry-trace", "uber-trace-id", "newrelic", "x-amzn-trace-id"),
    *("x-cloud-trace-context", "x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority"),
    *("x-datadog-tags", "x-forwarded-for", "x-forwarded-port", "x-real-ip", "forwarded", "via", "cf-ray"),
)
#: Their lines, as far as every parser takes them.
_LINES = re.compile(rb"\r\n(?i:" + "|".join(_PASSED_OVER).encode() + rb"):[\t -~]*(?=\r\n[^\t ])")
_NAMES = frozenset(name.encode() for name in _PASSED_OVER)
#: Where the statuses of refusals begin.
_REFUSED = 400


class Head(Struct, frozen=True):
    """What the head of a request says; it ends with nothing unusual in it.

    Attributes:
        method: GET or POST.
        path: the path, decoded.
        raw_path: the same as it was spelled.
        query_string: what follows it.
        headers: names in lower case, and values, in order, that are the same in all requests with this head.
        length: bytes of the body.
        derived: what others have made of it, see `asgi.derived`.
    """

    method: str
    path: str
    raw_path: bytes
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    length: int = 0
    derived: dict[Any, Any] = {}

    def scope(self, state: dict[str, Any], client: tuple[str, int] | None = None) -> Scope:
        """Return a request as ASGI describes it; without a `client`, the connection in its state knows the address."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": None,
            "client": client,
            "scheme": "http",
            "root_path": "",
            "headers": self.headers,
            "state": state,
            "method": self.method,
            "path": self.path,
            "raw_path": self.raw_path,
            "query_string": self.query_string,
            DERIVED: self.derived,
        }


class KnownHeads:
    """Heads by their bytes."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        self._seen: set[int] = set()

    def find(self, data: bytes) -> tuple[Head, bytes] | None:
        """Return the head and the body of a request, if these bytes are one with a known head, and nothing besides."""
        end = data.find(_END) + len(_END)
        spelled = data[:end]
        head = self._heads.get(spelled)
        if head is None:
            head = self._heads.get(_LINES.sub(b"", spelled))
        return (head, data[end:]) if head is not None and end + head.length == len(data) else None

    def learn(self, data: bytes, scope: Scope, length: int, answer: Answer | Begun) -> None:
        """Keep the head of a request, if it is not the first time that it comes.

        Args:
            data: the request, all of it and nothing else.
            scope: what it says.
            length: bytes of its body.
            answer: what it was answered; a head that is refused is not kept.
        """
        spelled = _LINES.sub(b"", data[: len(data) - length])
        if len(spelled) > _MOST_BYTES or (isinstance(answer, Answer) and answer.status >= _REFUSED):
            return
        seen = hash(spelled)
        if seen not in self._seen:
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen.add(seen)
            return
        if len(self._heads) >= _MOST_HEADS:
            del self._heads[next(iter(self._heads))]
        headers = [header for header in scope["headers"] if header[0] not in _NAMES]
        self._heads[spelled] = Head(
            scope["method"], scope["path"], scope["raw_path"], scope["query_string"], headers, length
        )

    def clear(self) -> None:
        """Forget all of them."""
        self._heads.clear()
        self._seen.clear()
