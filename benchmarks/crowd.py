"""Measure what clients that behave badly, or come all at once, cost those that behave.

    .venv/bin/python benchmarks/crowd.py [--json] [--quick] [--clients N] [--flood N]

The server is a process of its own on a SQLite file with 100 flags; the clients are in this one, on loopback.

    readers   1,000 clients follow the stream while changes are made one by one; milliseconds from the request of a
              change until a client has it, for all clients and changes. In turns with twenty bad readers beside them
              and without: ten never read, five take a byte every tenth of a second, five read and then stop.
    flood     10,000 clients connect within a second. As many are let in as `FLAGENT_OPEN_RATE` allows; the others
              obey `Retry-After`. Seconds until all of them are live, and the most that were let in within a second.

The goals: the 99th percentile with bad readers is within 20 % of that without; the flood is in within five seconds of
what the rate allows, and in no second more than the rate and what may come at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from api import Failed, check, fill
from processes import HOST, LIMIT, Editor, ServerProcess, allow_files
from stream_clients import StreamClient, connected, examine, newest, spread, until

from flagent.server.settings import Settings

_FLAGS = 100
_NEVER, _DRIP, _STOP = 10, 5, 5
_DRIP_PAUSE = 0.1
_REQUEST = b"GET /api/v1/realtime/sse?payload=flag HTTP/1.1\r\nHost: localhost\r\n\r\n"
_BAD_BUFFER = 4096
_TOLERANCE = 0.2
#: Seconds by which the flood may take longer than the rate allows: waits are whole seconds, and jittered.
_SPARE_S = 5.0
_FLOOD_LIMIT = 300.0


@asynccontextmanager
async def bad_readers(port: int) -> AsyncIterator[None]:
    """Let readers of all bad kinds be connected."""
    loop, opened = asyncio.get_running_loop(), list[socket.socket]()
    for _ in range(_NEVER + _DRIP + _STOP):
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BAD_BUFFER)
        reader.setblocking(False)
        await loop.sock_connect(reader, (HOST, port))
        await loop.sock_sendall(reader, _REQUEST)
        opened.append(reader)
    dripping = [asyncio.create_task(_drip(reader)) for reader in opened[:_DRIP]]
    for reader in opened[_DRIP : _DRIP + _STOP]:
        await loop.sock_recv(reader, _BAD_BUFFER)
    try:
        yield
    finally:
        for task in dripping:
            task.cancel()
        await asyncio.gather(*dripping, return_exceptions=True)
        for reader in opened:
            reader.close()


async def _drip(reader: socket.socket) -> None:
    # Ends with the connection.
    while await asyncio.get_running_loop().sock_recv(reader, 1):  # noqa: ASYNC110 - it reads, and waits for nothing
        await asyncio.sleep(_DRIP_PAUSE)


async def measure_readers(database: str, count: int, changes: int, rounds: int) -> dict[str, Any]:
    """Return the delays of changes with bad readers and without, which take turns."""
    delays: dict[str, list[float]] = {"without": [], "with_bad": []}
    rounds_p99: dict[str, list[float]] = {"without": [], "with_bad": []}
    with ServerProcess(database) as server:
        clients = [StreamClient(server.port) for _ in range(count)]
        async with connected(server, clients), Editor(server.url) as editor:
            await _delays(clients, editor, changes)
            for _ in range(rounds):
                found = await _delays(clients, editor, changes)
                delays["without"] += found
                rounds_p99["without"].append(spread(found)["p99"])
                async with bad_readers(server.port):
                    found = await _delays(clients, editor, changes)
                delays["with_bad"] += found
                rounds_p99["with_bad"].append(spread(found)["p99"])
            examine(clients)
            check(all(client.events["connected"] == 1 for client in clients), "a good reader was cut")
    medians = {name: statistics.median(found) for name, found in rounds_p99.items()}
    return {
        "clients": count,
        "bad": _NEVER + _DRIP + _STOP,
        "changes": changes * rounds,
        "delay_ms": {name: spread(found) for name, found in delays.items()},
        "p99_ms_of_rounds": rounds_p99,
        "p99_ratio": round(medians["with_bad"] / medians["without"], 3),
    }


async def _delays(clients: list[StreamClient], editor: Editor, changes: int) -> list[float]:
    """Make changes one by one; return the milliseconds until each client had each of them."""
    found: list[float] = []
    for _ in range(changes):
        goal = max(client.cursor.revision for client in clients if client.cursor is not None) + 1
        for client in clients:
            client.aim(goal)
        sent_at = time.monotonic()
        await editor.toggle(1)
        await until(clients, LIMIT, "after a change")
        found += [((client.current_at or 0.0) - sent_at) * 1000 for client in clients]
    return found


async def measure_flood(database: str, count: int) -> dict[str, Any]:
    """Let clients come within a second, and return how they were let in."""
    rate = Settings().open_rate
    with ServerProcess(database) as server:
        goal = await newest(server.port)
        clients = [StreamClient(server.port) for _ in range(count)]
        began_at = time.monotonic()
        try:
            for number, client in enumerate(clients):
                client.aim(goal)
                client.start()
                if number % 100 == 99:
                    await asyncio.sleep(max(0.0, began_at + number / count - time.monotonic()))
            sent_s = time.monotonic() - began_at
            await until(clients, _FLOOD_LIMIT, "in the flood")
        finally:
            for client in clients:
                await client.stop()
        examine(clients)
    let_in = sorted(client.greeted_at - began_at for client in clients)
    return {
        "clients": count,
        "open_rate": rate,
        "came_within_s": round(sent_s, 3),
        "all_live_s": round(let_in[-1], 3),
        "least_possible_s": round(max(0.0, count / rate - 2), 3),
        "live_s": spread(let_in),
        "most_in_a_second": max(Counter(int(each) for each in let_in).values()),
        "refusals": sum(client.refusals for client in clients),
        "most_tries": 1 + max(client.refusals for client in clients),
    }


async def measure(clients: int, flood: int, *, quick: bool) -> dict[str, Any]:
    """Measure everything and return the results."""
    with tempfile.TemporaryDirectory() as name:
        database = f"sqlite:///{Path(name) / 'flags.db'}"
        with ServerProcess(database) as server:
            await asyncio.to_thread(fill, server.url, _FLAGS)
        changes, rounds = (20, 3) if quick else (50, 7)
        results: dict[str, Any] = {"readers": await measure_readers(database, clients, changes, rounds)}
        results["flood"] = await measure_flood(database, flood)
    each = results["flood"]
    results["goals"] = {
        "p99_within_20_percent": results["readers"]["p99_ratio"] <= 1 + _TOLERANCE,
        "flood_in_time": each["all_live_s"] <= each["least_possible_s"] + _SPARE_S,
        "flood_within_rate": each["most_in_a_second"] <= 3 * each["open_rate"],
    }
    return results


def show(results: dict[str, Any]) -> None:
    """Print the results for people."""
    each = results["readers"]
    print(f"{each['changes']} changes to {each['clients']} readers, ms: {each['delay_ms']['without']}")
    print(f"  beside {each['bad']} bad ones: {each['delay_ms']['with_bad']}, p99 times {each['p99_ratio']}")
    each = results["flood"]
    print(f"{each['clients']} clients that came within {each['came_within_s']} s: live after {each['live_s']} s")
    print(f"  the rate allows {each['least_possible_s']} s; {each['most_in_a_second']} in one second at most, ", end="")
    print(f"{each['refusals']} refused, up to {each['most_tries']} tries")
    print("goals:", ", ".join(f"{name} {'met' if met else 'MISSED'}" for name, met in results["goals"].items()))


def main() -> None:
    """Print the results; exit with 1 when a client missed a change or was cut."""
    parser = argparse.ArgumentParser(description="Measure bad readers and a flood of clients, on this machine.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--clients", type=int, default=1000, help="how many good readers")
    parser.add_argument("--flood", type=int, default=10_000, help="how many clients come at once")
    options = parser.parse_args()
    try:
        allow_files(max(options.clients, options.flood))
        results = asyncio.run(measure(options.clients, options.flood, quick=options.quick))
    except Failed as exc:
        sys.exit(f"crowd: {exc}")
    if options.json:
        print(json.dumps(results))
    else:
        show(results)


if __name__ == "__main__":
    main()
