"""Heads of requests that were read before, which need no parser when they come again.

Programs ask in the same words again and again, and so do all the processes of one program: from one evaluation to the
next only the body differs, from one look at the snapshot to the next nothing, and those that open streams tell the same
tag, or where they stand. What a head means depends on its bytes alone. So what the parser has made of a head that was
answered at once is kept for the next request that begins with the very same bytes, but for the length of its body, and
for the headers by which tracing and proxies tell requests apart: nothing that is answered at once reads them.

Keys are among these bytes. They stay in memory as long as the head does; whether they are in force is asked each time.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

from msgspec import Struct
from starlette.types import Scope

from .asgi import DERIVED, Answer, Begun

T = TypeVar("T")

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
_LENGTH = re.compile(rb"\r\n(?i:content-length): ?([0-9]{1,9})(?=\r\n[^\t ])")
_NAMES = frozenset(name.encode() for name in (*_PASSED_OVER, "content-length"))
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
        derived: what others have made of it, see `asgi.derived`.
    """

    method: str
    path: str
    raw_path: bytes
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
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
    """Heads by their bytes, without what differs from one request to the next; and some as they were spelled."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        # With the length of the body: it saves looking for what differs.
        self._spelled: dict[bytes, tuple[Head, int]] = {}
        self._seen: set[int] = set()

    def find(self, data: bytes) -> tuple[Head, bytes] | None:
        """Return the head and the body of a request, if these bytes are one with a known head, and nothing besides."""
        end = data.find(_END) + len(_END)
        spelled = data[:end]
        found = self._spelled.get(spelled) or self._reduced(spelled)
        if found is None:
            return None
        head, length = found
        return (head, data[end:]) if end + length == len(data) else None

    def _reduced(self, spelled: bytes) -> tuple[Head, int] | None:
        rest, length = _without_length(spelled)
        head = self._heads.get(rest)
        if head is not None:
            _keep(self._spelled, spelled, (head, length))
        else:
            # Spelled like this, it never comes again.
            head = self._heads.get(_LINES.sub(b"", rest))
        return None if head is None else (head, length)

    def learn(self, data: bytes, scope: Scope, length: int, answer: Answer | Begun) -> None:
        """Keep the head of a request, if it is not the first time that it comes.

        Args:
            data: the request, all of it and nothing else.
            scope: what it says.
            length: bytes of its body.
            answer: what it was answered; a head that is refused is not kept.
        """
        spelled, said = _without_length(data[: len(data) - length])
        spelled = _LINES.sub(b"", spelled)
        if said != length or len(spelled) > _MOST_BYTES or spelled in self._heads:
            return
        if isinstance(answer, Answer) and answer.status >= _REFUSED:
            return
        seen = hash(spelled)
        if seen not in self._seen:
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen.add(seen)
            return
        headers = [header for header in scope["headers"] if header[0] not in _NAMES]
        head = Head(scope["method"], scope["path"], scope["raw_path"], scope["query_string"], headers)
        _keep(self._heads, spelled, head)

    def clear(self) -> None:
        """Forget all of them."""
        self._heads.clear()
        self._spelled.clear()
        self._seen.clear()


def _keep(known: dict[bytes, T], spelled: bytes, value: T) -> None:
    if len(known) >= _MOST_HEADS:
        del known[next(iter(known))]
    known[spelled] = value


def _without_length(spelled: bytes) -> tuple[bytes, int]:
    """Return a head without the length of the body, and the length; 0 where the head says none, or in unusual words.

    A second one is left where it is, for the parser to refuse.
    """
    found = _LENGTH.search(spelled)
    return (spelled, 0) if found is None else (spelled[: found.start()] + spelled[found.end() :], int(found[1]))
