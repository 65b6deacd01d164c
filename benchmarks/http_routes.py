"""Measure what a request costs the server: evaluation, a batch, and a snapshot that has not changed.

    .venv/bin/python benchmarks/http_routes.py [--json] [--quick] [--connections N] [--rounds N]

Our server, as it is without settings, is beside a program in Go that does the same work (evaluation_server.go:
net/http and encoding/json), and beside one ASGI function under uvicorn that decodes, answers and evaluates nothing
(asgi_floor.py). Each is one process with 1,000 flags. First all answers are compared: ours and Go's have to be the
same but for the time. Then the servers take turns, route by route and round by round; a program in C (requester.c)
asks on connections that stay open.

    evaluation  POST /api/v1/evaluation, one flag with a constraint and two variants
    traced      the same with a `traceparent`, so that each head is another one; the others are the same each time
    batch       POST /api/v1/evaluation/batch, ten entities and ten flags
    unchanged   GET /api/v1/export/eval_cache/json with If-None-Match, which is answered with 304

What counts is the CPU time of the server's process for one request, the least and the median of all rounds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx2
from api import Failed, check, fill
from building import HERE, Missing, c_program, go_program
from output import arguments, progress, show, surroundings, table
from processes import ServerProcess, free_port
from rivals import process, request
from subscribing import cpu_seconds

_FLAGS = 1000
_SNAPSHOT = "/api/v1/export/eval_cache/json"
_ONE = {"entityID": "user123", "entityContext": {"country": "DE"}, "flagKey": "flag_7"}
_BATCH: dict[str, list[Any]] = {
    "entities": [{"entityID": f"user{number}", "entityContext": {"country": "DE"}} for number in range(10)],
    "flagKeys": [f"flag_{number}" for number in range(10)],
}
TRACED = "evaluation, traced"
#: What tracing adds to a request: no head is like another one then.
_TRACE = "traceparent: 00-0af7651916cd43dd8448eb21{number}-00f067aa0ba902b7-01"
OURS, GO, FLOOR = "flagent", "go", "uvicorn"
#: A route's request and the status of its answer.
Routes = dict[str, tuple[bytes, int]]


def routes(tag: str) -> Routes:
    """Return the requests."""
    same = f"If-None-Match: {tag}"
    return {
        "evaluation": (request("POST", "/api/v1/evaluation", json.dumps(_ONE).encode()), 200),
        TRACED: (request("POST", "/api/v1/evaluation", json.dumps(_ONE).encode(), _TRACE), 200),
        "batch": (request("POST", "/api/v1/evaluation/batch", json.dumps(_BATCH).encode()), 200),
        "unchanged": (request("GET", _SNAPSHOT, b"", same), 304),
    }


def started(
    server: ServerProcess, folder: str, skipped: dict[str, str], stack: ExitStack
) -> tuple[str, dict[str, Any]]:
    """Return the tag of the snapshot, and port and process of each server."""
    answer = httpx2.get(server.url + _SNAPSHOT, headers={"Accept-Encoding": "identity"}, trust_env=False)
    tag, snapshot = answer.headers["etag"].removeprefix("W/"), Path(folder) / "snapshot.json"
    snapshot.write_bytes(answer.content)
    running = {OURS: (server.port, server.pid)}

    def start(name: str, command: list[str], *more: str) -> None:
        port = free_port()
        ready: AbstractContextManager[int] = process([*command, str(port), *more], port)
        running[name] = (port, stack.enter_context(ready))

    try:
        start(GO, [str(go_program("evaluation_server"))], str(snapshot), tag)
    except Missing as exc:
        skipped[GO] = str(exc)
        progress(f"without {GO}: {exc}")
    start(FLOOR, [sys.executable, str(HERE / "asgi_floor.py")], tag)
    return tag, running


def compare(running: dict[str, Any]) -> None:
    """Check that ours and Go's answers are the same, and what they have to be."""
    found = {}
    for name in (OURS, GO):
        if name not in running:
            continue
        url = f"http://127.0.0.1:{running[name][0]}/api/v1/evaluation"
        one = httpx2.post(url, json=_ONE, trust_env=False).json()
        many = httpx2.post(f"{url}/batch", json=_BATCH, trust_env=False).json()["evaluationResults"]
        check(len(many) == len(_BATCH["entities"]) * len(_BATCH["flagKeys"]), f"{name}: {len(many)} results in a batch")
        check(all(each["reason"] == "MATCH" for each in [one, *many]), f"{name}: somebody matches nothing")
        check(len({each["variantKey"] for each in many}) == 2, f"{name}: everybody has the same variant")
        found[name] = [{**each, "timestamp": None} for each in [one, *many]]
    check(found[OURS] == found.get(GO, found[OURS]), "Go and we answer differently")


def asked(port: int, text: bytes, status: int, connections: int, seconds: float) -> dict[str, Any]:
    """Ask a server for so many seconds, and return how often it answered and how soon."""
    command = [str(c_program("requester")), str(port), str(connections), str(seconds), str(status)]
    done = subprocess.run(command, input=text, capture_output=True, timeout=seconds + 30, check=False)
    check(done.returncode == 0, done.stderr.decode(errors="replace").strip())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measured(running: dict[str, Any], wanted: Routes, connections: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Return the numbers of all rounds, by route and server; the servers take turns."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {route: {name: [] for name in running} for route in wanted}
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        for route, (text, status) in wanted.items():
            for name, (port, pid) in running.items():
                before = cpu_seconds(pid)
                each = asked(port, text, status, connections, seconds)
                cpu_us = 1e6 * (cpu_seconds(pid) - before) / each["answers"]
                found[route][name].append({**each, "cpu_us": cpu_us})
    return {route: summary(servers) for route, servers in found.items()}


def summary(servers: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Return the least and the median of the rounds, and how many times the others each takes."""
    result = {}
    for name, rounds in servers.items():
        spent = [each["cpu_us"] for each in rounds]
        result[name] = {
            "cpu_us": round(statistics.median(spent), 2),
            "cpu_least_us": round(min(spent), 2),
            "requests_per_s": round(statistics.median(each["answers"] / each["seconds"] for each in rounds)),
            "p50_ms": statistics.median(each["p50_ms"] for each in rounds),
            "p99_ms": statistics.median(each["p99_ms"] for each in rounds),
        }
        for other in (GO, FLOOR):
            if other in servers:
                ratios = [one["cpu_us"] / two["cpu_us"] for one, two in zip(rounds, servers[other], strict=True)]
                result[name][f"times_{other}"] = round(statistics.median(ratios), 3)
    return result


def run(connections: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Measure everything and return the results."""
    c_program("requester")
    skipped: dict[str, str] = {}
    results: dict[str, Any] = {"benchmark": "http_routes", "surroundings": surroundings()}
    results |= {"connections": connections, "rounds": rounds, "slice_s": seconds, "flags": _FLAGS}
    with tempfile.TemporaryDirectory() as folder, ServerProcess(f"sqlite:///{folder}/flags.db") as server:
        fill(server.url, _FLAGS)
        with ExitStack() as stack:
            tag, running = started(server, folder, skipped, stack)
            compare(running)
            results["routes"] = measured(running, routes(tag), connections, seconds, rounds)
    return results | {"skipped": skipped}


def print_tables(results: dict[str, Any]) -> None:
    """Print the results for people."""
    marks = ("cpu_least_us", "cpu_us", f"times_{GO}", f"times_{FLOOR}", "requests_per_s", "p50_ms", "p99_ms")
    rows = [
        [f"{route}, {name}", *(each.get(mark) for mark in marks)]
        for route, servers in results["routes"].items()
        for name, each in servers.items()
    ]
    header = ("", "least, us CPU", "median", "times go", "times uvicorn", "requests/s", "p50, ms", "p99, ms")
    print(table(header, rows))
    for name, reason in results["skipped"].items():
        print(f"without {name}: {reason}")


def main() -> int:
    """Print the results; return 1 when an answer was wrong."""
    parser = arguments(__doc__)
    parser.add_argument("--connections", type=int, default=16, help="how many ask at the same time (16)")
    parser.add_argument("--rounds", type=int, help="turns of each server (9, quick: 3)")
    options = parser.parse_args()
    rounds = options.rounds if options.rounds is not None else 3 if options.quick else 9
    if not 1 <= options.connections <= 1024 or rounds < 1:
        parser.error("--connections: 1 to 1024, and --rounds: at least 1")
    try:
        results = run(options.connections, 1.0 if options.quick else 2.0, rounds)
    except (Failed, Missing) as exc:
        print(f"http_routes: {exc}", file=sys.stderr)
        return 1
    if options.json:
        show(results)
    else:
        print_tables(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
