"""Measure how soon an SDK evaluates a change, and how long starting takes.

    .venv/bin/python benchmarks/latency.py [--json] [--quick] [--changes N]

The server is a process of its own on a SQLite file; the SDK is in this one, on one event loop with the client that
makes the changes, which is next to nothing. Each change has a number, which the evaluation must show before the next
change is made: one that is not seen in 5 s is missed, and the run fails. It is evaluated when the SDK tells of it: a
program that asked again and again would keep a core busy, and what the disk wakes on that core would wait 3 ms for its
turn. Delays are counted to the evaluation that shows the number,

    committed   from the end of the commit in the database (the goal: p50 < 2 ms, p99 < 10 ms)
    committing  from its beginning, so with the time that the disk takes
    disk        that time alone, from the beginning of the commit to its end
    request     from sending the REST request
    answer      from its answer; less than 0 when the evaluation was first

Start and bootstrap are measured with 10,000 flags in the database (the goal: each under 1 s).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from api import Failed, check, fill, server
from output import surroundings
from rivals import request

from flagent import AsyncOfflineManager, OfflineConfig

_PATIENCE = 5.0
#: Seconds between two changes, so that each finds the system at rest.
_PAUSE = 0.005
_WARM_UP = 20
_GOALS = {"committed_p50_ms": 2.0, "committed_p99_ms": 10.0, "start_s": 1.0, "bootstrap_s": 1.0}

#: A server that notes when each COMMIT began and ended, on the machine's monotonic clock.
_SERVER = """
import json, sys, threading, time
from sqlalchemy.engine.default import DefaultDialect
from flagent.server.run import serve
from flagent.server.settings import Settings
commits, commit = [], DefaultDialect.do_commit
def noted(dialect, connection):
    begun = time.perf_counter()
    commit(dialect, connection)
    # Readers end their transactions by a COMMIT, too.
    if threading.current_thread().name.startswith("flagent-write"):
        commits.append((begun, time.perf_counter()))
DefaultDialect.do_commit = noted
serve(Settings(port=0, database_url=sys.argv[1]), on_ready=lambda url: print(url, flush=True))
print(json.dumps(commits))
"""


@dataclass
class Moments:
    """When things happened to each change, on the machine's monotonic clock."""

    sent: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)

    def delays(self, commits: list[tuple[float, float]]) -> dict[str, list[float]]:
        """Return the milliseconds from each kind of moment to the evaluation."""
        # Nothing else is written meanwhile: the first commit that begins after sending is the change's.
        begins = [begin for begin, _ in commits]
        pairs = [commits[bisect_left(begins, sent)] for sent in self.sent]
        check(all(pair[0] < seen for pair, seen in zip(pairs, self.seen, strict=True)), "a commit was not noted")
        starts = {
            "committed": [end for _, end in pairs],
            "committing": [begin for begin, _ in pairs],
            "request": self.sent,
            "answer": self.answered,
        }
        delays = {
            name: [1000 * (seen - start) for start, seen in zip(moments, self.seen, strict=True)][_WARM_UP:]
            for name, moments in starts.items()
        }
        return delays | {"disk": [1000 * (end - begin) for begin, end in pairs][_WARM_UP:]}


def measure_changes(database: str, changes: int) -> dict[str, list[float]]:
    """Return the delays of as many changes, in milliseconds, by what they are counted from."""
    process = subprocess.Popen([sys.executable, "-c", _SERVER, database], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        check(bool(url), "the server did not start")
        moments = asyncio.run(make_changes(url, changes + _WARM_UP))
        process.terminate()
        commits = json.loads(process.stdout.read())
    finally:
        process.kill()
        process.wait()
    return moments.delays(commits)


async def make_changes(url: str, changes: int) -> Moments:
    """Make changes, one after the other, and wait until each is evaluated."""
    moments = Moments()
    variant_path, told = make_flag(url), asyncio.Event()
    async with AsyncOfflineManager(url, OfflineConfig(auto_refresh=False)) as manager:
        manager.on_flag_change("latency", lambda _: told.set())
        await manager.enable_realtime_updates()
        reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        for number in range(changes):
            content = json.dumps({"key": "on", "attachment": {"number": number}}).encode()
            moments.sent.append(time.perf_counter())
            writer.write(request("PUT", variant_path, content))
            answer = asyncio.create_task(answered(reader))
            moments.seen.append(await seen(manager, number, told))
            moments.answered.append(await answer)
            await asyncio.sleep(_PAUSE)
        writer.close()
        await writer.wait_closed()
    return moments


def make_flag(url: str) -> str:
    """Make the flag that is changed, and return the path of the variant that everybody gets."""
    with httpx2.Client(base_url=f"{url}/api/v1", trust_env=False) as rest:
        body = {"key": "latency", "description": "changes", "template": "simple_boolean_flag"}
        flag = rest.post("/flags", json=body).json()
        rest.put(f"/flags/{flag['id']}/enabled", json={"enabled": True}).raise_for_status()
    return f"/api/v1/flags/{flag['id']}/variants/{flag['variants'][0]['id']}"


async def answered(reader: asyncio.StreamReader) -> float:
    """Return when the head of the next answer was there; the client is next to nothing, since it is not measured."""
    head = await reader.readuntil(b"\r\n\r\n")
    at = time.perf_counter()
    length = re.search(rb"content-length: (\d+)", head.lower())
    check(head.startswith(b"HTTP/1.1 200 ") and length is not None, f"a change was refused: {head!r}")
    assert length is not None
    await reader.readexactly(int(length[1]))
    return at


async def seen(manager: AsyncOfflineManager, number: int, told: asyncio.Event) -> float:
    """Return when the evaluation showed the change of that number, which is looked at when the SDK tells of one."""
    try:
        async with asyncio.timeout(_PATIENCE):
            while manager.evaluate("latency", "user").get_attachment_value("number") != number:
                await told.wait()
                told.clear()
    except TimeoutError:
        check(False, f"change {number} was missed")
    return time.perf_counter()


def measure_start(database: str, flags: int, rounds: int) -> dict[str, float]:
    """Return the seconds that the start of a server and the bootstrap of an SDK take with as many flags, at best."""
    with server(database) as (url, _):
        fill(url, flags)
    starts, first_bootstraps, bootstraps = [], [], []
    for _ in range(rounds):
        with server(database) as (url, seconds):
            starts.append(seconds)
            first_bootstraps.append(asyncio.run(bootstrap(url, flags)))
            bootstraps.append(asyncio.run(bootstrap(url, flags)))
    return {"start_s": min(starts), "bootstrap_first_s": min(first_bootstraps), "bootstrap_s": min(bootstraps)}


async def bootstrap(url: str, flags: int) -> float:
    """Return the seconds until a manager holds all flags."""
    began = time.perf_counter()
    async with AsyncOfflineManager(url, OfflineConfig(auto_refresh=False)) as manager:
        await manager.bootstrap()
        seconds = time.perf_counter() - began
        check(len(manager.evaluate_all("user", {"country": "DE"})) == flags, "flags are missing after the bootstrap")
    return seconds


def spread(delays: list[float]) -> dict[str, float]:
    """Return percentiles and the greatest of the delays."""
    ordered = sorted(delays)
    marks = {f"p{percent}_ms": ordered[-(-len(ordered) * percent // 100) - 1] for percent in (50, 90, 99)}
    return {name: round(delay, 3) for name, delay in itertools.chain(marks.items(), [("max_ms", ordered[-1])])}


def run(changes: int, flags: int, rounds: int) -> dict[str, Any]:
    """Measure everything and return the results."""
    around = surroundings()
    with tempfile.TemporaryDirectory() as folder:
        delays = measure_changes(f"sqlite:///{Path(folder) / 'changes.db'}", changes)
        start = measure_start(f"sqlite:///{Path(folder) / 'flags.db'}", flags, rounds)
    results: dict[str, Any] = {"surroundings": around, "changes": changes, "missed": 0}
    results |= {name: spread(values) for name, values in delays.items()}
    results |= {"flags": flags} | {name: round(seconds, 3) for name, seconds in start.items()}
    reached = {
        "committed_p50_ms": results["committed"]["p50_ms"],
        "committed_p99_ms": results["committed"]["p99_ms"],
        **start,
    }
    results["goals"] = {name: reached[name] < goal for name, goal in _GOALS.items()}
    return results


def main() -> None:
    """Print the results; exit with 1 when a change was missed or an answer was wrong."""
    parser = argparse.ArgumentParser(description="Measure how soon an SDK evaluates a change, on this machine.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--changes", type=int, help="how many changes (1000, quick: 200)")
    options = parser.parse_args()
    try:
        results = run(options.changes or (200 if options.quick else 1000), 10_000, 1 if options.quick else 3)
    except Failed as exc:
        sys.exit(f"latency: {exc}")
    if options.json:
        print(json.dumps(results))
        return
    for name in ("committed", "committing", "request", "answer"):
        print(f"{name:>10} to evaluation, ms: {results[name]}")
    print(f"      disk: the commit itself, ms: {results['disk']}")
    print(f"{results['changes']} changes, {results['missed']} missed")
    print(f"with {results['flags']} flags, seconds: server start {results['start_s']}", end="")
    print(f", bootstrap {results['bootstrap_s']}, the first one after the start {results['bootstrap_first_s']}")
    print("goals:", ", ".join(f"{name} {'reached' if met else 'MISSED'}" for name, met in results["goals"].items()))


if __name__ == "__main__":
    main()
