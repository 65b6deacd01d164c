"""The operations on streams, and on who reads them."""

from __future__ import annotations

from .operation import API, Operation
from .schemas import TEXT, list_of, ref

_FILTER = (
    ("flagKey", TEXT, "Only flags with this key; may be repeated."),
    ("flagID", {"type": "string"}, "Only flags with this id; may be repeated."),
    ("tag", TEXT, "Only flags with this tag; may be repeated."),
)
_CLIENT = ("clientID", TEXT, "What the client calls itself; the header `X-Client-Id` does the same.")
_AFTER = ("after", TEXT, "Cursor to resume from; the header `Last-Event-ID` does the same.")
_CHANGES = (
    *_FILTER,
    ("payload", {"type": "string", "enum": ["flag"]}, "`flag`: changes carry their flags, and the cursor counts."),
    _AFTER,
    ("since", TEXT, "Replay what changed since then: milliseconds since 1970, or a time of RFC 3339."),
    _CLIENT,
)
_RESULTS = (
    ("entityID", {**TEXT, "minLength": 1}, "Who; decides the bucket."),
    ("entityType", TEXT, "Of what kind."),
    ("entityContext", TEXT, "What constraints look at, as JSON."),
    *_FILTER,
    _AFTER,
    _CLIENT,
)
_EVENTS = "text/event-stream"


def _stream(method: str, path: str, id: str, summary: str, *, body: str | None = None) -> Operation:
    query = () if body else _CHANGES if path.endswith("/sse") else _RESULTS
    return Operation(method, path, id, "realtime", summary, TEXT, body, query, media=_EVENTS, statuses=(400, 503))


_FOLLOW = "Follow changes as Server-Sent Events"
_WATCH = "Follow the results of one entity as Server-Sent Events"

STREAM_OPERATIONS: tuple[Operation, ...] = (
    _stream("GET", f"{API}/realtime/sse", "stream", f"{_FOLLOW}."),
    _stream("GET", "/realtime/sse", "streamAtRoot", f"{_FOLLOW}, at Flagent's own address."),
    _stream("GET", f"{API}/realtime/evaluations", "watchEntityByQuery", f"{_WATCH}."),
    _stream("POST", f"{API}/realtime/evaluations", "watchEntity", f"{_WATCH}.", body="Watch"),
    _stream("GET", "/realtime/evaluations", "watchEntityByQueryAtRoot", f"{_WATCH}, at a short address."),
    _stream("POST", "/realtime/evaluations", "watchEntityAtRoot", f"{_WATCH}, at a short address.", body="Watch"),
    Operation(
        "GET",
        f"{API}/realtime/connections",
        "listConnections",
        "realtime",
        "List open streams: who reads them, and how far they are.",
        list_of("Connection"),
    ),
    Operation(
        "POST",
        f"{API}/realtime/connections/{{connectionID}}/resync",
        "resyncConnection",
        "realtime",
        "Make one client load everything anew.",
    ),
    Operation(
        "DELETE",
        f"{API}/realtime/connections/{{connectionID}}",
        "closeConnection",
        "realtime",
        "End one stream; its client comes back by itself.",
    ),
    Operation(
        "GET", f"{API}/realtime/sse/health", "streamHealth", "health", "Count the open streams.", ref("StreamHealth")
    ),
    Operation(
        "GET", "/realtime/sse/health", "streamHealthAtRoot", "health", "Count the open streams.", ref("StreamHealth")
    ),
)
