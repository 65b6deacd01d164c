"""A Flagent server as it really is: not the one that its API description promises.

Its export is made anew every `cache_age` seconds and empty until then; it spells ids in two ways, shows what is not
there as null, and has timestamps without a zone; streams are at `/realtime/sse` only, have neither heartbeats nor
ids that mean anything, and end with every toggle, segment and variant event, which it can't encode; edits of
constraints, distributions and tags have no event at all. A 404 below `/api/` is always `{"error":"Not found"}`, other
refusals are plain text, and JSON that it can't read is its own fault (500).
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

#: Put into a stream's queue to end it.
_END: dict[str, Any] = {}
_UPDATED_AT = "2026-01-02T03:04:05.678900"


class PlainFlagent:
    """A context manager around such a server, with an admin's edits as methods.

    Attributes:
        url: where it listens.
        asked: method and path of every request.
        broken: answers every request with a 502 of a proxy while it is true.
    """

    def __init__(self, *, cache_age: float = 0.15, starts_empty: bool = False) -> None:
        self.asked: list[str] = []
        self.broken = False
        self._cache_age = cache_age
        self._starts_empty = starts_empty
        self._lock = threading.Lock()
        self._flags: dict[int, dict[str, Any]] = {}
        self._deleted: dict[int, dict[str, Any]] = {}
        self._next = 0
        self._export = b'{"flags":[]}'
        self._streams: dict[queue.Queue[dict[str, Any]], dict[str, list[str]]] = {}
        self._ending = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._threads = [threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)]
        self._threads.append(threading.Thread(target=self._refresh, daemon=True))

    def __enter__(self) -> Self:
        if not self._starts_empty:
            self._fill()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self.end_streams()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join(5)

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def count(self, path: str) -> int:
        """Return how often a path was asked for."""
        return sum(asked.endswith(path) for asked in self.asked)

    # What an admin does. The events are those that really are sent.

    def create(self, key: str, *, enabled: bool = True, variant: str = "on") -> int:
        """Make a flag that gives everybody a variant."""
        with self._lock:
            flag_id, segment_id, variant_id = self._id(), self._id(), self._id()
            self._flags[flag_id] = {
                "id": flag_id,
                "key": key,
                "description": None,
                "enabled": enabled,
                "segments": [_segment(flag_id, segment_id, self._id(), variant_id, variant)],
                "variants": [{"id": variant_id, "flagId": flag_id, "key": variant, "attachment": {"color": "blue"}}],
                "tags": [],
            }
        self._publish("flag.created", flag_id, f"Flag created: {key}")
        return flag_id

    def rename(self, flag_id: int, key: str) -> None:
        """Give a flag another key."""
        with self._lock:
            self._flags[flag_id]["key"] = key
        self._publish("flag.updated", flag_id, f"Flag updated: {key}")

    def toggle(self, flag_id: int, enabled: bool) -> None:
        """Switch a flag; the event can't be encoded, which ends every stream."""
        with self._lock:
            self._flags[flag_id]["enabled"] = enabled
        self.end_streams()

    def delete(self, flag_id: int) -> None:
        """Delete a flag."""
        with self._lock:
            flag = self._deleted[flag_id] = self._flags.pop(flag_id)
        self._publish("flag.deleted", flag_id, f"Flag deleted: {flag['key']}")

    def restore(self, flag_id: int) -> None:
        """Bring a deleted flag back; nobody is told."""
        with self._lock:
            self._flags[flag_id] = self._deleted.pop(flag_id)

    def constrain(self, flag_id: int, name: str, value: str) -> None:
        """Add a condition to the first segment; nobody is told."""
        with self._lock:
            segment = self._flags[flag_id]["segments"][0]
            condition = {
                "id": self._id(),
                "segmentId": segment["id"],
                "property": name,
                "operator": "EQ",
                "value": value,
            }
            segment["constraints"].append(condition)

    def roll_out(self, flag_id: int, percent: int) -> None:
        """Change the rollout of the first segment; the event can't be encoded, which ends every stream."""
        with self._lock:
            self._flags[flag_id]["segments"][0]["rolloutPercent"] = percent
        self.end_streams()

    def tag(self, flag_id: int, value: str) -> None:
        """Add a tag; nobody is told."""
        with self._lock:
            self._flags[flag_id]["tags"].append({"id": self._id(), "value": value})

    def end_streams(self) -> None:
        """End every stream."""
        for each in list(self._streams):
            each.put(_END)

    def silence_streams(self) -> None:
        """Forget the streams, which stay open and say nothing more."""
        self._streams.clear()

    def restart(self) -> None:
        """Be as after a restart: no streams, and an export without flags until the cache is filled."""
        self._export = b'{"flags":[]}'
        self.end_streams()

    def enabled(self) -> dict[str, dict[str, Any]]:
        """Return the flags that are switched on, by key, as they are now."""
        with self._lock:
            return {flag["key"]: json.loads(json.dumps(flag)) for flag in self._flags.values() if flag["enabled"]}

    def _id(self) -> int:
        self._next += 1
        return self._next

    def _publish(self, kind: str, flag_id: int, message: str) -> None:
        now = int(time.time() * 1000)
        with self._lock:
            key = self._flags.get(flag_id, self._deleted.get(flag_id, {})).get("key")
        # The timestamp is left out when it is that of the encoding, which it nearly always is.
        event = {"type": kind, "flagID": flag_id, "flagKey": key, "message": message, "id": now}
        for each, query in list(self._streams.items()):
            keys, ids = query.get("flagKey"), query.get("flagID")
            if (keys is None or key in keys) and (ids is None or str(flag_id) in ids):
                each.put(event)

    def _refresh(self) -> None:
        while not self._ending.wait(self._cache_age):
            self._fill()

    def _fill(self) -> None:
        absent = {"createdBy": None, "updatedBy": None, "notes": None, "entityType": None, "environmentId": None}
        # Its number of the state is that of the one before.
        more = {**absent, "dataRecordsEnabled": False, "snapshotId": 0, "updatedAt": _UPDATED_AT}
        flags = [{**more, **flag} for flag in self.enabled().values()]
        self._export = json.dumps({"flags": flags}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                fake.asked.append(f"GET {urlsplit(self.path).path}")
                fake._answer(self, urlsplit(self.path).path)

            def do_POST(self) -> None:
                fake.asked.append(f"POST {urlsplit(self.path).path}")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fake._evaluate(self, urlsplit(self.path).path, body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler

    def _answer(self, request: BaseHTTPRequestHandler, path: str) -> None:
        if self.broken:
            send(request, 502, b"<html>Bad Gateway</html>", "text/html")
        elif path == "/api/v1/export/eval_cache/json":
            send(request, 200, self._export)
        elif path == "/realtime/sse":
            self._stream(request)
        elif path == "/api/v1/flags":
            with self._lock:
                flags = [_rest(flag) for flag in sorted(self._flags.values(), key=lambda flag: -flag["id"])]
            send(request, 200, json.dumps(flags).encode())
        elif path.startswith("/api/v1/flags/") and not path.rpartition("/")[2].isdigit():
            send(request, 400, b"Invalid flag ID", "text/plain")
        elif path == "/api/v1/health":
            send(request, 200, b'{"status":"OK"}')
        elif path.startswith("/api/"):
            send(request, 404, b'{"error":"Not found"}')
        else:
            send(request, 200, b"<html>the web page</html>", "text/html")

    def _evaluate(self, request: BaseHTTPRequestHandler, path: str, body: bytes) -> None:
        try:
            asked = json.loads(body)
            entity = asked.get("entityContext") or {}
            if any(not isinstance(value, str) for value in entity.values()):
                raise TypeError("only strings")
        except (ValueError, TypeError, AttributeError):
            send(request, 500, b'{"error":"Internal server error"}')
            return
        if path != "/api/v1/evaluation":
            send(request, 404, b'{"error":"Not found"}')
            return
        flag = self.enabled().get(asked.get("flagKey") or "")
        variant = flag["variants"][0] if flag else None
        result: dict[str, Any] = {
            "flagID": flag["id"] if flag else 0,
            "flagKey": asked.get("flagKey") or "",
            "flagSnapshotID": 0,
            "flagTags": [],
            "segmentID": flag["segments"][0]["id"] if flag else None,
            "variantID": variant["id"] if variant else None,
            "variantKey": variant["key"] if variant else None,
            "variantAttachment": variant["attachment"] if variant else None,
            "evalContext": {"entityID": asked.get("entityID"), "entityType": "", "entityContext": entity},
            "evalDebugLog": None if variant else {"msg": "flagID 0 not found or deleted", "segmentDebugLogs": []},
            "timestamp": int(time.time() * 1000),
        }
        send(request, 200, json.dumps(result).encode())

    def _stream(self, request: BaseHTTPRequestHandler) -> None:
        waiting: queue.Queue[dict[str, Any]] = queue.Queue()
        request.close_connection = True
        request.send_response(200)
        for name, value in (
            ("Content-Type", "text/event-stream"),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ):
            request.send_header(name, value)
        request.end_headers()
        # Whoever has read the greeting gets what happens from then on.
        self._streams[waiting] = parse_qs(urlsplit(request.path).query)
        with suppress(OSError):
            hello = {"type": "connected", "message": "Connected to Flagent realtime updates"}
            request.wfile.write(frame("connected", hello))
            while (event := waiting.get()) is not _END:
                request.wfile.write(frame(event["type"], event, event.pop("id", None)))
        self._streams.pop(waiting, None)


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, content_type: str = "application/json") -> None:
    """Send a whole answer."""
    with suppress(OSError):
        request.send_response(status)
        request.send_header("Content-Type", content_type)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


def frame(name: str, data: dict[str, Any], event_id: int | None = None) -> bytes:
    """Return an event in the order and with the line ends of Ktor."""
    lines = [f"data: {json.dumps(data)}", f"event: {name}"]
    if event_id is not None:
        lines.append(f"id: {event_id}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _segment(flag_id: int, segment_id: int, share_id: int, variant_id: int, variant: str) -> dict[str, Any]:
    share = {"id": share_id, "segmentId": segment_id, "variantId": variant_id, "variantKey": variant, "percent": 100}
    return {
        "id": segment_id,
        "flagId": flag_id,
        "description": None,
        "rank": 0,
        "rolloutPercent": 100,
        "constraints": [],
        "distributions": [share],
    }


def _rest(flag: dict[str, Any]) -> dict[str, Any]:
    """Return a flag as the REST answers have it: other spellings, and members that nobody else knows."""
    text = json.dumps(flag)
    for theirs, rest in (("flagId", "flagID"), ("segmentId", "segmentID"), ("variantId", "variantID")):
        text = text.replace(f'"{theirs}"', f'"{rest}"')
    extra: dict[str, Any] = {
        "environmentId": None,
        "projectId": None,
        "dependsOn": [],
        "updatedAt": None,
        "archived": False,
    }
    more = {"snapshotID": 0, "dataRecordsEnabled": False, "notes": None, "createdBy": None, "environmentId": None}
    found: dict[str, Any] = json.loads(text)
    return {**found, **more, **extra, "description": found["description"] or ""}


#: Starts a server with these arguments.
StartPlain = Callable[..., PlainFlagent]
