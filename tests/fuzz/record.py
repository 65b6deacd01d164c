"""Makes the seeds of the targets: what a real server really says, and what clients really ask it."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from live import LiveServer
from sse_messages import Message, Subscriber

from flagent.client.disk import DiskCache
from flagent.core.model import OPERATORS
from flagent.server.settings import Settings
from flagent.wire.codec import decode_snapshot
from flagent.wire.packing import pack

from .targets import TYPES

#: Requests that make a flag with one of everything; they are the seeds of `rest`, too.
REQUESTS: tuple[tuple[str, str, object], ...] = (
    ("POST", "/flags", {"description": "d", "key": "seed", "template": "simple_boolean_flag"}),
    ("PUT", "/flags/1/enabled", {"enabled": True}),
    ("PUT", "/flags/1", {"description": "é", "notes": "n", "rollout": "proportional", "clientVisible": True}),
    ("POST", "/flags/1/tags", {"value": "team-a"}),
    ("POST", "/flags/1/variants", {"key": "off", "attachment": {"value": [1, None, {"a": 1.5}]}}),
    ("PUT", "/flags/1/variants/1", {"key": "on", "attachment": {"value": 2}}),
    ("POST", "/flags/1/segments", {"description": "s", "rolloutPercent": 50}),
    *(
        ("POST", "/flags/1/segments/2/constraints", {"property": "country", "operator": name, "value": "[1]"})
        for name in OPERATORS
    ),
    ("PUT", "/flags/1/segments/2/distributions", {"distributions": [{"variantID": 1, "percent": 100}]}),
    ("PUT", "/flags/1/segments/reorder", {"segmentIDs": [2, 1]}),
    ("POST", "/flags/1/duplicate", {"key": "second"}),
    ("POST", "/evaluation", {"entityID": "u", "entityContext": {"country": "DE"}, "flagKey": "seed"}),
    ("POST", "/evaluation/batch", {"entities": [{"entityID": "u"}], "flagKeys": ["seed"], "flagTags": ["team-a"]}),
    ("PUT", "/flags/batch/enabled", {"ids": [1, 2], "enabled": True}),
    ("GET", "/flags?enabled=true&limit=5&tags=team-a&preload=true", None),
    ("GET", "/flags/1/snapshots", None),
    ("GET", "/export/eval_cache/json?view=full&after=e:1&flagKey=seed&tag=x", None),
    ("GET", "/export/gitops", None),
    ("GET", "/flags/1/lint", None),
    ("DELETE", "/flags/2", None),
)
_MESSAGES = (
    {"op": "subscribe", "id": 1, "flagKeys": ["seed"], "flagIDs": [1], "tags": [], "payload": "flag", "after": "e:1"},
    {"op": "watch", "id": "me", "entityID": "u", "entityContext": {"country": "DE"}, "flagKeys": ["seed"]},
    {"op": "unsubscribe", "id": 1},
    {"op": "evaluate", "id": 2, "flagKey": "seed", "entityID": "u", "enableDebug": True},
    {"op": "evaluateBatch", "id": 3, "entities": [{"entityID": "u"}], "flagKeys": ["seed"], "flagTagsOperator": "ALL"},
)


_WORD = re.compile(rb'"[A-Za-z.]{2,30}"|\n[a-z]{2,6}: |/[a-z]{3,20}')


def seeds(folder: Path) -> dict[str, list[bytes]]:
    """Return the seeds of each target, from a server that keeps its database in `folder`."""
    settings = Settings(port=0, database_url=f"sqlite:///{folder / 'recorded.db'}", heartbeat=0.2, nudge_window=0.0)
    found: dict[str, list[bytes]] = {}
    with LiveServer(settings) as server, Subscriber(server.port) as full, Subscriber(server.port, "") as plain:
        found["rest"] = [_asked(server.http, *request) for request in REQUESTS]
        exports = [server.http.get(path).content for path in _exports(server.http)]
        streams = [_said(full, "heartbeat"), _said(plain, ":")]
        cursor = json.loads(exports[0])["revision"].partition(":")[0]
    # One epoch that the targets know, so that changes follow what is held.
    exports, streams = ([each.replace(cursor.encode(), b"e") for each in group] for group in (exports, streams))
    found["snapshot"], found["delta"] = exports[:2], exports[2:3]
    pieces = [piece for each in streams for piece in _pieces(each)]
    found["stream"] = [bytes([size]) + piece for piece in pieces for size in (40, 255)]
    found["parser"] = [bytes(range(0, 160, 10)) + piece for piece in pieces]
    found["event"] = list(_events(streams[0]))
    found["file"] = [
        b"\0" + exports[0],
        b"\0" + exports[3],
        b"\1" + exports[4],
        b'\0{"a": true, "b": [1]}',
        b"\1a: on\n",
    ]
    found["disk"] = [b"\0" + _cached(folder, exports[0])]
    found["answer"] = [b'{"message": "no"}', b'{"error": "no"}', b"<html>", b"Thu, 01 Jan 2026 00:00:30 GMT", b"120"]
    found["constraint"] = [b"x" * number + b"\n[0-9]+|a*(b|c){2}\nDE, 1.5e3, a" for number in range(len(OPERATORS))]
    found["socket"] = [b"\1" + json.dumps(each).encode() for each in _MESSAGES]
    found["socket"] += [b"\0" + pack(each) for each in _MESSAGES]
    return found


def _asked(http: httpx2.Client, method: str, path: str, body: object) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    http.request(method, path, content=content)
    return f"{method} /api/v1{path}\n".encode() + content


def _exports(http: httpx2.Client) -> Iterator[str]:
    export = "/export/eval_cache/json"
    yield f"{export}?view=full"
    yield export
    epoch = str(http.get(export).json()["revision"]).partition(":")[0]
    yield f"{export}?view=full&after={epoch}:3"
    yield "/export/gitops?format=json"
    yield "/export/gitops?format=yaml"


def _said(stream: Subscriber, last: str) -> bytes:
    """Return what a stream says up to a message of some type, as it came."""
    read: list[Message] = []
    while not read or read[-1].type != last:
        read.append(stream.next())
    return b"".join(
        b": hb\n\n" if each.type == ":" else _event(each.type, each.id, each.data, each.retry) for each in read
    )


def _pieces(stream: bytes) -> Iterator[bytes]:
    """Return its beginning, and each message after the greeting: short ones are eaten fast."""
    hello, *others = (block + b"\n\n" for block in stream.split(b"\n\n") if block)
    yield b"".join([hello, *others[:4]])
    yield from (hello + other for other in others[4:] if len(other) < 3000)


def _event(type_: str, id_: str, data: object, retry: str) -> bytes:
    fields = {"event": type_, "id": id_, "retry": retry, "data": "" if data is None else json.dumps(data)}
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value).encode() + b"\n"


def _events(stream: bytes) -> Iterator[bytes]:
    for block in stream.split(b"\n\n"):
        fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
        name = fields.get(b"event", b"").decode()
        if name in TYPES:
            yield bytes([TYPES.index(name)]) + fields[b"data"]


def _cached(folder: Path, export: bytes) -> bytes:
    DiskCache(folder / "cache", "http://server", "key", 1 << 20).save(decode_snapshot(export), '"e:1"')
    (path,) = (folder / "cache").iterdir()
    return path.read_bytes().partition(b"\n")[2]


def write(folder: Path) -> None:
    """Write each seed to a file of its own below the target's name, and all words of them to `dictionary`."""
    folder.mkdir(parents=True, exist_ok=True)
    words: set[bytes] = set()
    with TemporaryDirectory() as database:
        for name, inputs in seeds(Path(database)).items():
            (folder / name).mkdir(exist_ok=True)
            for data in inputs:
                words.update(_WORD.findall(data))
                (folder / name / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in sorted(words))
    (folder / "dictionary").write_text("".join(f'"{line}"\n' for line in lines))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
