"""Measure what a second worker brings, and how soon workers hear of each other's changes.

    .venv/bin/python benchmarks/workers.py [--json] [--quick] [--clients N] [--postgres URL]

The server is a process of its own on a SQLite file; the clients are in this one, on loopback.

    waking      two workers, changes one by one at one of them; milliseconds from the end of the commit until the other
                one is woken (the goal: p50 under 2 ms), and to the event at a stream of the same worker and at one of
                the other, counted where the event is read, so with both ways through the kernel
    evaluation  requests on 32 connections, as fast as they are answered; requests per second, and microseconds of the
                server's CPU time for each
    fan_out     clients follow the stream while changes are made one by one; milliseconds until each has it, and
                microseconds of CPU time for each event of each client
    opening     streams that are opened in a second, and microseconds of the server's CPU time for each
    memory      megabytes that a server with 1,000 flags has for itself (PSS, shared pages counted in parts)

One and two workers take turns, round by round. On a machine with two cores the clients need one of them, so neither
twice the requests nor half the delay can be seen there: two workers and the clients share what is two cores. What can
be seen is what a request and an event cost, that the load is shared, and that waking is quick.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httptools
import msgspec
import uvloop
from api import Failed, fill
from opening import measure_opening
from output import surroundings
from processes import HOST, LIMIT, Editor, ServerProcess, allow_files, cpu_of, workers_of
from stream_clients import StreamClient, connected, examine, spread, until
from waking import measure_waking

_FLAGS = 1000
_CONNECTIONS = 32
_COUNTS = (1, 2)
_WAKE_GOAL_MS = 2.0
#: Streams of one turn.
_OPENED = 5000


class EvaluationClient(asyncio.Protocol):
    """Asks the same question again and again, and looks at every answer."""

    def __init__(self, requests: int, done: asyncio.Future[None]) -> None:
        self.left = requests
        self._done = done
        body = json.dumps({"flagKey": "flag_7", "entityID": "user", "entityContext": {}}).encode()
        head = f"POST /api/v1/evaluation HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        self._request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self._answer = httptools.HttpResponseParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask for the first time."""
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Read an answer."""
        self._answer.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail if it is too early."""
        if not self._done.done():
            self._done.set_exception(Failed(f"a connection was lost: {exc}"))

    def on_body(self, body: bytes) -> None:
        """Keep a part of the answer."""
        self._body += body

    def on_message_complete(self) -> None:
        """Look at the answer, and ask again."""
        if self._answer.get_status_code() != 200 or msgspec.json.decode(self._body).get("flagKey") != "flag_7":
            self._done.set_exception(Failed(f"a wrong answer: {self._body[:200]!r}"))
            return
        self._body = b""
        self._answer = httptools.HttpResponseParser(self)
        self.left -= 1
        if self.left:
            self._transport.write(self._request)
        elif not self._done.done():
            self._done.set_result(None)
            self._transport.close()


async def measure_evaluation(server: ServerProcess, requests: int) -> dict[str, float]:
    """Return how many requests a second are answered, and what each costs."""
    loop, each = asyncio.get_running_loop(), requests // _CONNECTIONS
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(_CONNECTIONS)]
    pids = workers_of(server.pid) or [server.pid]
    before, mine = [cpu_of(pid) for pid in pids], time.process_time()
    began = time.monotonic()
    for end in ends:
        await loop.create_connection(lambda end=end: EvaluationClient(each, end), HOST, server.port)  # type: ignore[misc]
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(*ends)
    took, count = time.monotonic() - began, each * _CONNECTIONS
    used = [cpu_of(pid) - earlier for pid, earlier in zip(pids, before, strict=True)]
    return {
        "per_second": count / took,
        "cpu_us": 1e6 * sum(used) / count,
        "client_cpu_us": 1e6 * (time.process_time() - mine) / count,
        "share_of_busiest": max(used) / (sum(used) or 1.0),
    }


async def measure_fan_out(server: ServerProcess, count: int, changes: int) -> dict[str, Any]:
    """Return the delays of changes at many clients, and what each event costs."""
    clients = [StreamClient(server.port) for _ in range(count)]
    delays: list[float] = []
    async with Editor(server.url) as editor, connected(server, clients):
        await editor.toggle(1)
        before = server.cpu()
        for _ in range(changes):
            for client in clients:
                client.aim(editor.revision + 1)
            sent_at = time.monotonic()
            await editor.toggle(1)
            await until(clients, LIMIT, "after a change")
            delays += [((client.current_at or 0.0) - sent_at) * 1000 for client in clients]
        used = server.cpu() - before
        examine(clients)
        shares = await asyncio.to_thread(_streams_by_worker, server.url)
    return {"delay_ms": spread(delays), "cpu_us": 1e6 * used / (changes * count), "streams": shares}


def _streams_by_worker(url: str) -> list[int]:
    import httpx2

    listed = httpx2.get(f"{url}/api/v1/realtime/connections", trust_env=False, timeout=LIMIT).json()
    births = [each["id"] // 1_000_000_000 for each in listed]
    return sorted(births.count(birth) for birth in set(births))


def memory_of(server: ServerProcess) -> float:
    """Return the megabytes that a server and its workers have for themselves."""
    total = 0
    for pid in (server.pid, *workers_of(server.pid)):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return round(total / 1024, 1)


async def measure_rounds(database: str, clients: int, *, quick: bool) -> dict[str, Any]:
    """Return what one and two workers do, in turns."""
    rounds, requests, changes = (2, 20_000, 20) if quick else (5, 60_000, 50)
    found: dict[int, dict[str, list[Any]]] = {count: {} for count in _COUNTS}
    for _ in range(rounds):
        for count in _COUNTS:
            with ServerProcess(database, workers=count, open_rate=0) as server:
                await measure_evaluation(server, requests // 10)
                each = {
                    "evaluation": await measure_evaluation(server, requests),
                    "fan_out": await measure_fan_out(server, clients, changes),
                    "memory_mb": memory_of(server),
                }
            for name, value in each.items():
                found[count].setdefault(name, []).append(value)
    return {str(count): _summary(found[count]) for count in _COUNTS}


def _summary(rounds: dict[str, list[Any]]) -> dict[str, Any]:
    evaluation = {
        name: round(statistics.median(each[name] for each in rounds["evaluation"]), 3)
        for name in rounds["evaluation"][0]
    }
    fan_out = {
        "p50_ms": round(statistics.median(each["delay_ms"]["p50"] for each in rounds["fan_out"]), 2),
        "p99_ms": round(statistics.median(each["delay_ms"]["p99"] for each in rounds["fan_out"]), 2),
        "cpu_us": round(statistics.median(each["cpu_us"] for each in rounds["fan_out"]), 2),
        "streams": [each["streams"] for each in rounds["fan_out"]],
    }
    return {"evaluation": evaluation, "fan_out": fan_out, "memory_mb": statistics.median(rounds["memory_mb"])}


def measure(clients: int, *, quick: bool, postgres: str | None) -> dict[str, Any]:
    """Measure everything and return the results."""
    around = surroundings()
    with tempfile.TemporaryDirectory() as name:
        changes = 300 if quick else 2000
        waking = {"sqlite": measure_waking(f"sqlite:///{Path(name) / 'waking.db'}", changes)}
        if postgres:
            waking["postgresql"] = measure_waking(postgres, changes)
        database = f"sqlite:///{Path(name) / 'flags.db'}"
        with ServerProcess(database) as server:
            fill(server.url, _FLAGS)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            workers = runner.run(measure_rounds(database, clients, quick=quick))
        opening = measure_opening(database, 2000 if quick else _OPENED, 2 if quick else 5, _COUNTS)
    met = all(each["commit_to_woken_ms"]["p50"] < _WAKE_GOAL_MS for each in waking.values())
    goals = {"woken_within_2_ms": met}
    return {
        "surroundings": around,
        "cores": os.cpu_count(),
        "waking": waking,
        "workers": workers,
        "opening": opening,
        "goals": goals,
    }


def show(results: dict[str, Any]) -> None:
    """Print the results for people."""
    for engine, each in results["waking"].items():
        print(f"{each['changes']} changes on {engine}, ms from the commit: the other worker woken")
        print(f"  {each['commit_to_woken_ms']}, event at its own worker {each['commit_to_own_ms']}")
        print(f"  other worker {each['commit_to_other_ms']}, later than own {each['own_to_other_ms']}")
        print(f"  {each['later_than_200_ms']} came by the poll only")
    for count, each in results["workers"].items():
        print(f"{count} worker(s): evaluation {each['evaluation']}")
        print(f"  fan-out {each['fan_out']}")
        print(f"  memory {each['memory_mb']} MB")
    print(f"streams opened in a second: {results['opening']}")
    print(f"{results['cores']} cores; goals:", results["goals"])


def main() -> None:
    """Print the results; exit with 1 when an answer was wrong or a client missed a change."""
    parser = argparse.ArgumentParser(description="Measure one and two workers, on this machine.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--clients", type=int, default=2000, help="how many streams")
    parser.add_argument("--postgres", metavar="URL", help="an empty database, to measure waking on it as well")
    options = parser.parse_args()
    try:
        allow_files(max(options.clients, _OPENED))
        results = measure(options.clients, quick=options.quick, postgres=options.postgres)
    except Failed as exc:
        sys.exit(f"workers: {exc}")
    if options.json:
        print(json.dumps(results))
    else:
        show(results)


if __name__ == "__main__":
    main()
