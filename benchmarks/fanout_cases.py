"""What else our fan-out has to bear: requests beside it, readers that do not read, filters, streams of entities."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Self
from urllib.parse import quote

import httpx2
import rivals
from api import check
from output import progress, table
from processes import HOST
from rivals import FULL, Running, request, toggle
from stream_clients import spread
from subscribing import Subscribers, cpu_seconds

_WARM_UP = 3
_EVALUATION = "/api/v1/evaluation"
_PERSON = {"entityID": "user123", "entityContext": {"country": "DE"}}
_ENTITY = "/api/v1/realtime/evaluations?entityID=user{n}&entityContext=" + quote('{"country":"DE"}')
_PROBE_PAUSE = 0.01
_SLOW_READERS = 20
_SLOW_BUFFER = 4096
#: So much in each event that the buffers of a reader that does not read are full after a few.
_BIG = 16_000


class Probe:
    """Evaluates by request, a hundred times a second on one connection, in a thread."""

    def __init__(self, port: int) -> None:
        self.delays: list[float] = []
        self.failure = ""
        self._request = request("POST", _EVALUATION, json.dumps({**_PERSON, "flagKey": "flag_1"}).encode())
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        check(not self.failure, f"an evaluation beside the fan-out failed: {self.failure}")

    def _run(self) -> None:
        with socket.create_connection((HOST, self._port), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self._stop.wait(_PROBE_PAUSE):
                began = time.perf_counter()
                connection.sendall(self._request)
                answer = _answer(connection)
                self.delays.append(1000 * (time.perf_counter() - began))
                if not answer.startswith(b"HTTP/1.1 200") or b'"flagKey":"flag_1"' not in answer:
                    self.failure = answer[:200].decode(errors="replace")
                    return


def _answer(connection: socket.socket) -> bytes:
    """Read one answer, which tells its length."""
    found = b""
    while b"\r\n\r\n" not in found or len(found) < _size(found):
        piece = connection.recv(65_536)
        if not piece:
            return found
        found += piece
    return found


def _size(answer: bytes) -> int:
    head, _, _ = answer.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    return len(head) + 4 + int(length or 0)


def beside(clients: int, events: int) -> dict[str, Any]:
    """Return the delays of evaluation requests at rest, and while events go out ten times a second."""
    with rivals.flagent() as server, Subscribers(server.port, clients, server.path) as crowd:
        crowd.connect()
        crowd.events([server.event(number) for number in range(1, _WARM_UP + 1)])
        with Probe(server.port) as rest:
            time.sleep(max(2.0, events / 10))
        with Probe(server.port) as busy:
            found = crowd.events([server.event(number) for number in range(_WARM_UP + 1, _WARM_UP + events + 1)], 100)
        crowd.examine()
    return {
        "clients": clients,
        "events": events,
        "rest_ms": spread(rest.delays),
        "beside_ms": spread(busy.delays),
        "requests": len(busy.delays),
        "event_p99_ms": found["p99_ms"],
    }


@contextmanager
def slow_readers(port: int) -> Iterator[None]:
    """Let readers be connected that never read."""
    opened = []
    for _ in range(_SLOW_READERS):
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_BUFFER)
        reader.connect((HOST, port))
        reader.sendall(f"GET {FULL} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        opened.append(reader)
    try:
        yield
    finally:
        for reader in opened:
            reader.close()


def slow(clients: int, events: int, rounds: int) -> dict[str, Any]:
    """Return the delays of big events with readers that do not read and without, which take turns."""
    found: dict[str, list[dict[str, Any]]] = {"without": [], "with": []}
    made = 0
    with rivals.flagent() as server, Subscribers(server.port, clients, FULL) as crowd:
        flag_id = new_flag(server, "x" * _BIG)
        crowd.connect()

        def delays() -> dict[str, Any]:
            nonlocal made
            made += events
            before = cpu_seconds(server.pid)
            seen = crowd.events([toggle(flag_id, number) for number in range(made - events + 1, made + 1)])
            return seen | {"event_cpu_ms": 1000 * (cpu_seconds(server.pid) - before) / events}

        delays()
        for _ in range(rounds):
            found["without"].append(delays())
            with slow_readers(server.port):
                found["with"].append(delays())
        crowd.examine()
    p99, cpu = (
        {name: round(statistics.median(each[mark] for each in rounds), 3) for name, rounds in found.items()}
        for mark in ("p99_ms", "event_cpu_ms")
    )
    return {
        "clients": clients,
        "slow": _SLOW_READERS,
        "event_bytes": _BIG,
        "p99_ms": p99,
        "p99_ratio": round(p99["with"] / p99["without"], 3),
        "event_cpu_ms": cpu,
        "cpu_ratio": round(cpu["with"] / cpu["without"], 3),
    }


def new_flag(server: Running, text: str) -> int:
    """Make a flag that is on for everybody, with an attachment, and return its id."""
    flag = {
        "key": "another",
        "enabled": True,
        "variants": [{"key": "on", "attachment": {"text": text}}],
        "segments": [{"distributions": [{"variantKey": "on", "percent": 100}]}],
    }
    content = json.dumps({"version": "1", "flags": [flag]})
    url = f"http://{HOST}:{server.port}/api/v1"
    httpx2.post(f"{url}/import", json={"format": "json", "content": content}, trust_env=False).raise_for_status()
    flags = httpx2.get(f"{url}/flags", params={"key": "another"}, trust_env=False).json()
    check(len(flags) == 1, "the new flag is not there")
    return int(flags[0]["id"])


def filters(clients: int, events: int) -> dict[str, Any]:
    """Return what an event costs if 1 %, 10 % and all of the streams want it."""
    found = {}
    for percent in (1, 10, 100):
        matching = max(1, clients * percent // 100)
        with rivals.flagent() as server:
            wanted, others = (f"{FULL}&flagKey=flag_{number}" for number in (0, 1))
            with Subscribers(server.port, clients, wanted, matching=matching, other=others) as crowd:
                found[str(percent)] = {"matching": matching, **_cost(server, crowd, events)}
    return {"clients": clients, "percent": found}


def entities(clients: int, events: int) -> dict[str, Any]:
    """Return what one change costs if everybody follows the results of an entity of its own."""
    with rivals.flagent() as server:
        # The same variant for all, so that all get the same.
        flag_id = new_flag(server, "")
        followed = replace(server, event=partial(toggle, flag_id))
        with Subscribers(server.port, clients, _ENTITY) as crowd:
            return {"clients": clients, **_cost(followed, crowd, events)}


def _cost(server: Running, crowd: Subscribers, events: int) -> dict[str, float]:
    opened = crowd.connect()
    crowd.events([server.event(number) for number in range(1, _WARM_UP + 1)])
    before = cpu_seconds(server.pid)
    found = crowd.events([server.event(number) for number in range(_WARM_UP + 1, _WARM_UP + events + 1)])
    spent = (cpu_seconds(server.pid) - before) / events
    crowd.examine()
    return {
        "event_cpu_ms": round(1000 * spent, 3),
        "cpu_us_each": round(1e6 * spent / crowd.matching, 3),
        "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"],
        "max_ms": found["max_ms"],
        "accepts_per_s": round(crowd.count / opened["seconds"]),
    }


def run(*, quick: bool) -> dict[str, Any]:
    """Measure all of it and return the results."""
    many, few, events = (2000, 1000, 10) if quick else (10_000, 1000, 40)
    progress(f"evaluation by request beside a fan-out to {many:,}")
    results: dict[str, Any] = {"beside": beside(many, events)}
    progress(f"{few:,} readers beside {_SLOW_READERS} that do not read")
    results["slow_readers"] = slow(few, events, 3 if quick else 7)
    progress(f"filters of {many:,} streams")
    results["filters"] = filters(many, events)
    progress(f"{many:,} streams of entities")
    results["entities"] = entities(many, events)
    return results


def print_tables(results: dict[str, Any]) -> None:
    """Print the results for people."""
    each = results["beside"]
    print(f"\nevaluation by request beside {each['clients']:,} subscribers, ms: {each['rest_ms']} at rest,")
    print(f"  {each['beside_ms']} while ten events a second go out, whose own p99 is {each['event_p99_ms']}")
    each = results["slow_readers"]
    print(
        f"{each['clients']:,} readers of big events, p99 in ms: {each['p99_ms']['without']}, beside {each['slow']}",
        end="",
    )
    print(f" that do not read {each['p99_ms']['with']}, times {each['p99_ratio']};", end="")
    print(f" CPU of an event {each['event_cpu_ms']['without']} and {each['event_cpu_ms']['with']} ms")
    marks = ("event_cpu_ms", "cpu_us_each", "p50_ms", "p99_ms", "max_ms", "accepts_per_s")
    rows = [
        [f"{percent} % of {results['filters']['clients']:,}", *(one[mark] for mark in marks)]
        for percent, one in results["filters"]["percent"].items()
    ]
    rows.append([f"{results['entities']['clients']:,} entities", *(results["entities"][mark] for mark in marks)])
    print("\nwho wants the event; the edit's own cost is included")
    print(table(["", "event, ms CPU", "us each", "p50, ms", "p99, ms", "max, ms", "accepts/s"], rows))
