"""Measure the REST API: listing 5,000 flags, a write with its event, and the start with 10,000 flags.

    .venv/bin/python benchmarks/api.py [--json] [--quick] [--postgres URL]

The server is a process of its own; every answer is checked. Writes are timed from the request to the
answer, which the server gives when readers have the change, and to the event at a stream that
is open beside. With `--postgres` both engines take turns, round by round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

_START_LIMIT = 60.0


class Failed(Exception):
    """An answer was not what it has to be."""


@contextmanager
def server(database: str) -> Iterator[tuple[str, float]]:
    """Run a server on this database; yield its URL, and the seconds until it answered."""
    began = time.perf_counter()
    code = (
        "import sys; from flagent.server.run import serve; from flagent.server.settings import Settings; "
        "serve(Settings(port=0, database_url=sys.argv[1]), on_ready=lambda url: print(url, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, database], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        check(bool(url), "the server did not start")
        yield url, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(_START_LIMIT)


def check(holds: bool, message: str) -> None:
    """Fail unless `holds`."""
    if not holds:
        raise Failed(message)


def fill(url: str, count: int) -> None:
    """Import `count` flags with a segment, a constraint and two variants each."""
    flags = [
        {
            "key": f"flag_{number}",
            "description": f"flag number {number}",
            "enabled": True,
            "variants": [{"key": "on"}, {"key": "off"}],
            "segments": [
                {
                    "rolloutPercent": 100,
                    "constraints": [{"property": "country", "operator": "EQ", "value": "DE"}],
                    "distributions": [{"variantKey": "on", "percent": 50}, {"variantKey": "off", "percent": 50}],
                }
            ],
        }
        for number in range(count)
    ]
    for first in range(0, count, 2500):
        content = json.dumps({"version": "1", "flags": flags[first : first + 2500]})
        answer = httpx2.post(
            f"{url}/api/v1/import", json={"format": "json", "content": content}, timeout=_START_LIMIT, trust_env=False
        )
        check(answer.json().get("created") == len(flags[first : first + 2500]), f"import: {answer.text[:200]}")


class Listener:
    """Follows the stream and notes when the event of each revision came."""

    def __init__(self, url: str) -> None:
        self.seen: dict[str, float] = {}
        self.connected = threading.Event()
        self._url = f"{url}/api/v1/realtime/sse?payload=flag"
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        check(self.connected.wait(10), "the stream did not open")

    def _follow(self) -> None:
        try:
            with httpx2.stream("GET", self._url, timeout=None, trust_env=False) as response:
                for line in response.iter_lines():
                    if line.startswith("id: "):
                        self.seen.setdefault(line.removeprefix("id: ").rpartition(":")[2], time.perf_counter())
                    elif line == "event: connected":
                        self.connected.set()
        except httpx2.HTTPError:
            return  # the server ended, which ends the measurement

    def seen_at(self, revision: int) -> float:
        """Return when the event of that revision came."""
        limit = time.perf_counter() + 10
        while str(revision) not in self.seen:
            check(time.perf_counter() < limit, f"revision {revision} never came")
            time.sleep(0.0002)
        return self.seen[str(revision)]


def measure_list(url: str, rounds: int) -> list[float]:
    """Return the milliseconds of listing the first hundred flags of all."""
    delays = []
    with httpx2.Client(base_url=f"{url}/api/v1", trust_env=False, timeout=30) as http:
        for _ in range(rounds):
            began = time.perf_counter()
            answer = http.get("/flags?limit=100&preload=true")
            delays.append(1000 * (time.perf_counter() - began))
            check(len(answer.json()) == 100 and answer.headers["x-total-count"] == "5000", "the list is wrong")
    return delays


def measure_writes(url: str, writes: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds from requests to answers, and to events."""
    answers, events = [], []
    listener = Listener(url)
    with httpx2.Client(base_url=f"{url}/api/v1", trust_env=False, timeout=30) as http:
        flag_id = http.post("/flags", json={"description": "written to"}).json()["id"]
        for number in range(writes):
            began = time.perf_counter()
            flag = http.put(f"/flags/{flag_id}/enabled", json={"enabled": number % 2 == 0}).json()
            answers.append(1000 * (time.perf_counter() - began))
            check(flag["enabled"] is (number % 2 == 0), "the write was lost")
            events.append(1000 * (listener.seen_at(flag["snapshotID"]) - began))
    return answers, events


def summary(delays: list[float]) -> dict[str, float]:
    """Return median and 99th percentile."""
    ordered = sorted(delays)
    return {
        "p50_ms": round(statistics.median(ordered), 3),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
    }


def run(quick: bool, postgres: str | None) -> dict[str, object]:
    """Run everything and return the results."""
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder) / 'list.db'}"
        with server(database) as (url, _):
            fill(url, 5000)
            results["list_5000_limit_100"] = summary(measure_list(url, 20 if quick else 100))
        big = f"sqlite:///{Path(folder) / 'big.db'}"
        with server(big) as (url, empty_start):
            fill(url, 10_000)
        starts = []
        for _ in range(1 if quick else 3):
            with server(big) as (url, seconds):
                count = httpx2.get(f"{url}/api/v1/flags?limit=1", trust_env=False).headers["x-total-count"]
                check(count == "10000", f"{count} flags after the start")
                starts.append(seconds)
        results["start"] = {"empty_s": round(empty_start, 3), "with_10000_flags_s": round(min(starts), 3)}
        engines = {"sqlite": f"sqlite:///{Path(folder) / 'writes.db'}"}
        if postgres:
            engines["postgresql"] = postgres
        results["write"] = measure_engines(engines, rounds=2 if quick else 5, writes=100 if quick else 300)
    return results


def measure_engines(engines: dict[str, str], *, rounds: int, writes: int) -> dict[str, object]:
    """Return write delays by engine; the engines take turns."""
    answers: dict[str, list[float]] = {name: [] for name in engines}
    events: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, database in engines.items():
            with server(database) as (url, _):
                to_answer, to_event = measure_writes(url, writes)
                answers[name] += to_answer
                events[name] += to_event
    return {name: {"answer": summary(answers[name]), "event": summary(events[name])} for name in engines}


def main() -> None:
    """Print the results."""
    parser = argparse.ArgumentParser(description="Measure the REST API of a server on this machine.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument(
        "--postgres", metavar="URL", default=os.environ.get("FLAGENT_TEST_POSTGRES_URL"), help="an empty database"
    )
    options = parser.parse_args()
    results = run(options.quick, options.postgres)
    if options.json:
        print(json.dumps(results))
        return
    for name, values in results.items():
        print(f"{name}: {json.dumps(values)}")


if __name__ == "__main__":
    main()
