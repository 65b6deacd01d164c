"""Measure what a restart, a quiet hour and a reader that stalls cost with the stream.

    .venv/bin/python benchmarks/resume.py [--json] [--quick] [--clients N]

The server is a process of its own on a SQLite file with 1,000 flags; the clients are in this one, on
loopback, and keep nothing but a cursor. Each checks that every change comes exactly once.

    resume    the server is killed and started again; seconds from its readiness until clients are current. They
              reconnect as the protocol says, so most of that is the wait that a client has drawn. Once with ten
              changes after the start, once with ten more that another process makes while the server is down.
    bytes     what goes over the connection, both directions, HTTP included and TCP not, beside polling at 60 s
    load      CPU time of the server for one client and hour, from many clients at once
    stalled   memory of the server for a reader that takes nothing while 20,000 changes are written: one of a
              hundred, by the difference to runs without any, because the noise hides a single one. Once with 50
              changes per transaction, once with 1,000, whose net effect is written at once and has all flags in it.

The goals: no snapshot is downloaded, all are current within 5 s, a stalled reader costs less than 1 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from api import Failed, check, fill
from processes import LIMIT, Editor, ServerProcess, allow_files
from stream_clients import StreamClient, connected, examine, newest, spread, until
from traffic import load_per_hour, measure_bytes, measure_load, per_hour

_FLAGS = 1000
_CHANGES = 10
#: Seconds after which whatever comes twice would have come.
_AFTERWARDS = 0.5
_CURRENT_S = 5.0
_STALLED_BYTES = 1_000_000
_MANY = 100
_RECEIVE_BUFFER = 4096
#: Changes of one transaction: so few that a reader who keeps up gets each of them, and all flags at once.
_SMALL, _LARGE = 50, _FLAGS


async def measure_restart(database: str, count: int, *, missed: int) -> dict[str, Any]:
    """Kill the server under all clients, and start it again; `missed` changes are made while it is down."""
    with ServerProcess(database) as server, ServerProcess(database) as other:
        clients = [StreamClient(server.port) for _ in range(count)]
        async with connected(server, clients), Editor(other.url) as elsewhere:
            goal = await newest(server.port) + missed + _CHANGES
            for client in clients:
                client.aim(goal)
                client.events.clear()
                client.refusals = 0
            server.kill()
            killed_at = time.monotonic()
            await elsewhere.toggle(missed)
            await asyncio.to_thread(server.start)
            async with Editor(server.url) as editor:
                await editor.toggle(_CHANGES)
            changed_at = time.monotonic()
            await until(clients, LIMIT, "after the restart")
            await asyncio.sleep(_AFTERWARDS)
            check(editor.revision == goal == await newest(server.port), f"the server is not at {goal}")
            examine(clients)
            return restart_results(clients, server, server.ready_at - killed_at, changed_at - server.ready_at)


def restart_results(clients: list[StreamClient], server: ServerProcess, down_s: float, edit_s: float) -> dict[str, Any]:
    """Return the numbers of a restart."""
    events = sum((client.events for client in clients), Counter[str]())
    current = [(client.current_at or 0.0) - server.ready_at for client in clients]
    # From the connection that got through, or from the last change where that was later.
    begins = [max(client.tried_at, server.ready_at + edit_s) for client in clients]
    served = [max(0.0, (client.current_at or 0.0) - begin) for client, begin in zip(clients, begins, strict=True)]
    return {
        "clients": len(clients),
        "down_s": round(down_s, 3),
        "changes_made_after_s": round(edit_s, 3),
        "current_s": spread(current),
        "served_s": spread(served),
        "refused_connections": sum(client.refusals for client in clients),
        "most_tries": 1 + max(client.refusals for client in clients),
        "events": dict(sorted(events.items())),
        "downloads": sum(len(client.downloads) for client in clients),
        "download_bytes": sum(sum(client.downloads) for client in clients),
    }


async def measure_stalled(folder: Path, changes: int, at_once: int, rounds: int) -> dict[str, Any]:
    """Return what readers that take nothing cost the server, beside runs without any; they take turns."""
    growths: dict[int, list[int]] = {0: [], 1: [], _MANY: []}
    behind: list[int] = []
    for _ in range(rounds):
        for count, found in growths.items():
            with tempfile.TemporaryDirectory(dir=folder) as name:
                growth, missed = await grow(f"sqlite:///{Path(name) / 'stalled.db'}", count, changes, at_once)
            found.append(growth)
            behind += missed
    medians = {count: statistics.median(found) for count, found in growths.items()}
    return {
        "changes": changes,
        "changes_per_transaction": at_once,
        "growth_bytes": {f"readers_{count}": found for count, found in growths.items()},
        "reader_bytes": round((medians[_MANY] - medians[0]) / _MANY),
        "single_reader_bytes": round(medians[1] - medians[0]),
        "behind_when_reading_on": {"least": min(behind), "most": max(behind)},
    }


async def grow(database: str, count: int, changes: int, at_once: int) -> tuple[int, list[int]]:
    """Return by how many bytes the server grows with stalled readers, and how many changes each was behind."""
    with ServerProcess(database, write_timeout=600) as server:
        await asyncio.to_thread(fill, server.url, _FLAGS)
        clients = [StreamClient(server.port, receive_buffer=_RECEIVE_BUFFER) for _ in range(count)]
        async with Editor(server.url) as editor:
            # What every server keeps of the last changes is there before the count begins; and the readers
            # get nothing of it, because what is freed afterwards would be counted against what they cost.
            await editor.describe(2 * _FLAGS, "warm", flags=_FLAGS, at_once=at_once)
            before = server.memory()
            async with connected(server, clients):
                for client in clients:
                    assert client.transport is not None
                    client.transport.pause_reading()
                await editor.describe(changes, "stalled", flags=_FLAGS, at_once=at_once)
                growth = server.memory() - before
                return growth, await read_on(clients, await newest(server.port))


async def read_on(clients: list[StreamClient], goal: int) -> list[int]:
    """Let the clients read on, see that they become current, and return how many changes each was behind."""
    behind = []
    for client in clients:
        if client.transport is None or client.cursor is None:
            raise Failed("the server has cut a stalled reader")
        behind.append(goal - client.cursor.revision)
        client.aim(goal)
        client.transport.resume_reading()
    await until(clients, LIMIT, "after the stall")
    if clients:
        examine(clients)
    check(all(client.events["connected"] == 1 for client in clients), "a stalled reader had to connect again")
    return behind


async def measure(clients: int, *, quick: bool) -> dict[str, Any]:
    """Measure everything and return the results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = f"sqlite:///{folder / 'flags.db'}"
        with ServerProcess(database) as server:
            await asyncio.to_thread(fill, server.url, _FLAGS)
        results: dict[str, Any] = {"flags": _FLAGS}
        results["restart"] = await measure_restart(database, clients, missed=0)
        results["restart_with_missed"] = await measure_restart(database, clients, missed=_CHANGES)
        sizes = await measure_bytes(database, 50 if quick else 200)
        results["bytes"] = sizes
        results["bytes_per_hour"] = {f"changes_{count}": per_hour(sizes, count) for count in (60, 10)}
        cost = await measure_load(database, min(clients, 500), 50 if quick else 200)
        results["cpu_us"] = cost
        results["cpu_ms_per_hour"] = {f"changes_{count}": load_per_hour(cost, count) for count in (60, 10)}
        changes, rounds = (2000, 1) if quick else (20_000, 3)
        results["stalled"] = await measure_stalled(folder, changes, _SMALL, rounds)
        results["stalled_large"] = await measure_stalled(folder, changes, _LARGE, 1)
    results["goals"] = goals(results)
    return results


def goals(results: dict[str, Any]) -> dict[str, bool]:
    """Return which goals are met."""
    restarts = [results["restart"], results["restart_with_missed"]]
    return {
        "no_downloads": all(each["downloads"] == 0 for each in restarts),
        "current_within_5_s": all(each["current_s"]["max"] < _CURRENT_S for each in restarts),
        "stalled_reader_under_1_mb": all(
            results[name]["reader_bytes"] < _STALLED_BYTES for name in ("stalled", "stalled_large")
        ),
    }


def show(results: dict[str, Any]) -> None:
    """Print the results for people."""
    for name, title in (("restart", "10 changes after"), ("restart_with_missed", "10 changes while down, 10 after")):
        each = results[name]
        print(f"restart under {each['clients']} clients, {each['down_s']} s down, {title}")
        print(f"  current, seconds from readiness: {each['current_s']}; up to {each['most_tries']} tries")
        print(f"  from the connection that got through, or the last change: {each['served_s']}")
        print(f"  {each['downloads']} snapshots downloaded, {each['download_bytes']} bytes; {each['events']}")
    sizes = results["bytes"]
    print(f"bytes with {results['flags']} flags: stream {sizes['stream']}")
    print(f"  Flagent stream {sizes['compatible']}")
    print(f"  resume {sizes['resume']}, poll {sizes['poll']}")
    print(f"{'per client and hour':>36} {'60 changes':>14} {'10 changes':>14}")
    for title, unit in (("bytes_per_hour", "bytes"), ("cpu_ms_per_hour", "ms CPU")):
        hours = results[title]
        for line in hours["changes_60"]:
            print(f"{line:>36} {hours['changes_60'][line]:>14,} {hours['changes_10'][line]:>14,} {unit}")
    for name in ("stalled", "stalled_large"):
        each = results[name]
        print(f"a stalled reader, {each['changes']} changes, {each['changes_per_transaction']} at once: ", end="")
        print(f"{each['reader_bytes']:,} bytes (a single one {each['single_reader_bytes']:,})", end="")
        print(f", behind by {each['behind_when_reading_on']['most']}")
    print("goals:", ", ".join(f"{name} {'met' if met else 'MISSED'}" for name, met in results["goals"].items()))


def main() -> None:
    """Print the results; exit with 1 when a client missed a change or an answer was wrong."""
    parser = argparse.ArgumentParser(description="Measure restarts, traffic and stalled readers, on this machine.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--clients", type=int, default=2000, help="how many clients the restart drops")
    options = parser.parse_args()
    try:
        allow_files(options.clients)
        results = asyncio.run(measure(options.clients, quick=options.quick))
    except Failed as exc:
        sys.exit(f"resume: {exc}")
    if options.json:
        print(json.dumps(results))
    else:
        show(results)


if __name__ == "__main__":
    main()
