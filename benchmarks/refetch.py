"""Measure what it costs a server when all its clients load the snapshot at the same moment.

    .venv/bin/python benchmarks/refetch.py [--json] [--quick] [--clients N]

The server is a process of its own on a SQLite file with 1,000 flags. One flag changes; then every client asks for the
whole snapshot, in zstd, over a connection of its own, all at once. Those that are refused (503) wait as they are told
and ask again. Checked: everybody gets the newest snapshot in the end, and the same bytes. Counted: how often the
server encoded or compressed it (the goal: twice, once each), how many were refused, how long the last one took, and
how much memory the server needed at most.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from typing import Any

import httpx2
from api import check, fill
from output import arguments, told
from processes import HOST, ServerProcess

_PATH = "/api/v1/export/eval_cache/json?view=full"
_FLAGS = 1000
_SPARE_FILES = 500


class Crowd:
    """Clients that all want the snapshot."""

    def __init__(self, port: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.bodies: Counter[bytes] = Counter()
        self.broken = 0
        self._request = f"GET {_PATH} HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: zstd\r\nConnection: close\r\n\r\n"
        self._port = port

    async def one(self) -> None:
        """Ask until there is an answer."""
        while True:
            try:
                reader, writer = await asyncio.open_connection(HOST, self._port)
                writer.write(self._request.encode())
                answer = await reader.read(-1)
                writer.close()
            except OSError:
                # More connections at once than the kernel holds for the server.
                self.broken += 1
                await asyncio.sleep(random.uniform(0.1, 1.0))
                continue
            head, _, body = answer.partition(b"\r\n\r\n")
            status = int(head.split()[1])
            self.statuses[status] += 1
            if status == 200:
                self.bodies[body] += 1
                return
            wait = int(head.lower().partition(b"retry-after: ")[2].split()[0])
            await asyncio.sleep(wait * random.uniform(1.0, 1.1))


def measure(clients: int) -> dict[str, Any]:
    """Return what it cost."""
    with tempfile.TemporaryDirectory() as folder, ServerProcess(f"sqlite:///{folder}/flags.db") as server:
        fill(server.url, _FLAGS)
        httpx2.put(f"{server.url}/api/v1/flags/1/enabled", json={"enabled": True}, trust_env=False).raise_for_status()
        before, memory = metric(server.url, "flagent_bodies_made"), server.memory()
        crowd, began = Crowd(server.port), time.monotonic()
        most = asyncio.run(together(crowd, clients, server))
        took = time.monotonic() - began
        made = metric(server.url, "flagent_bodies_made") - before
    check(crowd.statuses[200] == clients, "not everybody got the snapshot")
    check(len(crowd.bodies) == 1, "not everybody got the same snapshot")
    return {
        "clients": clients,
        "bytes": len(next(iter(crowd.bodies))),
        "encoded": int(made),
        "refused": crowd.statuses[503],
        "refused_by_the_kernel": crowd.broken,
        "last_s": round(took, 2),
        "memory_mb": round((most - memory) / 2**20, 1),
        "goals": {"encoded_once": made == 2},
    }


async def together(crowd: Crowd, clients: int, server: ServerProcess) -> int:
    """Let all ask at once; return the most memory that the server had meanwhile."""
    asking = asyncio.gather(*(crowd.one() for _ in range(clients)))
    most = server.memory()
    while not asking.done():
        most = max(most, server.memory())
        await asyncio.sleep(0.02)
    await asking
    return most


def metric(url: str, name: str) -> float:
    """Return one of the server's numbers."""
    text = httpx2.get(f"{url}/metrics", trust_env=False).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def main() -> int:
    """Measure, and print it."""
    parser = arguments(__doc__)
    parser.add_argument("--clients", type=int, help="how many; without it 10,000, and 2,000 with --quick")
    asked = parser.parse_args()
    clients = asked.clients or (2000 if asked.quick else 10_000)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < clients + _SPARE_FILES:
        print(f"{clients} clients need {clients + _SPARE_FILES} files; this machine allows {hard}", file=sys.stderr)
        return 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (clients + _SPARE_FILES, hard))
    return told(lambda: measure(clients), as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
