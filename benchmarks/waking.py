"""How soon a worker streams what another one has committed, for `workers.py`: a server that notes its commits."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from api import check
from processes import LIMIT, workers_of
from stream_clients import StreamClient, newest, spread, until

_T = TypeVar("_T")
#: Seconds between two changes, so that each finds the system at rest.
_PAUSE = 0.01
_WARM_UP = 20

#: A server of two workers that notes when it has committed a change, and when a worker hears of another one's, on the
#: machine's monotonic clock.
_SERVER = """
import os, sys, threading, time
from sqlalchemy.engine.default import DefaultDialect
from flagent.server.run import serve
from flagent.server.settings import Settings
from flagent.server.storage import Storage
commit, hinted = DefaultDialect.do_commit, Storage.hinted
notes = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def noted(dialect, connection):
    begun = time.monotonic()
    commit(dialect, connection)
    # Readers end their transactions by a COMMIT, too.
    if threading.current_thread().name.startswith("flagent-write"):
        os.write(notes, f"{begun} {time.monotonic()}\\n".encode())
def heard(storage):
    os.write(notes, f"heard {time.monotonic()}\\n".encode())
    hinted(storage)
DefaultDialect.do_commit, Storage.hinted = noted, heard
settings = Settings(port=0, workers=2, database_url=sys.argv[1], open_rate=0)
serve(settings, on_ready=lambda url: print(url, flush=True))
"""


def measure_waking(database: str, changes: int) -> dict[str, Any]:
    """Return the milliseconds until the other worker is woken, and streams of both workers have a change."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "commits"
        command = [sys.executable, "-c", _SERVER, database, str(notes)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            check(bool(url), "the server did not start")
            moments = asyncio.run(_make_changes(process.pid, url, changes + _WARM_UP))
            process.terminate()
            check(process.wait(LIMIT) == 0, "the server did not end well")
        finally:
            process.kill()
            process.wait()
        lines = list(map(str.split, notes.read_text().splitlines()))
    commits = [(float(begun), float(done)) for begun, done in lines if begun != "heard"]
    wakes = [float(at) for mark, at in lines if mark == "heard"]
    return _delays(moments[_WARM_UP:], commits, wakes)


def _delays(
    moments: list[tuple[float, float, float]], commits: list[tuple[float, float]], wakes: list[float]
) -> dict[str, Any]:
    woken, own, other, between, late = [], [], [], [], 0
    begun = [each[0] for each in commits]
    for sent, at_own, at_other in moments:
        # Nothing else is written meanwhile.
        done = commits[bisect_left(begun, sent)][1]
        wake = bisect_left(wakes, done)
        # Its own look at the log, four times a second, may come first.
        check(wake < len(wakes), "a worker was not woken")
        woken.append((wakes[wake] - done) * 1000)
        own.append((at_own - done) * 1000)
        other.append((at_other - done) * 1000)
        between.append((at_other - at_own) * 1000)
        late += at_other - done > 0.2
    return {
        "changes": len(moments),
        "commit_to_woken_ms": spread(woken),
        "commit_to_own_ms": spread(own),
        "commit_to_other_ms": spread(other),
        "own_to_other_ms": spread(between),
        # What only the poll can have delivered.
        "later_than_200_ms": late,
    }


async def _make_changes(pid: int, url: str, count: int) -> list[tuple[float, float, float]]:
    port, found = int(url.rpartition(":")[2]), []
    first, second = workers_of(pid)
    async with httpx2.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, timeout=LIMIT) as http:
        async with _accepting(first, second):
            flag = (await http.post("/flags", json={"key": "a", "description": ""})).json()
        own, other = StreamClient(port), StreamClient(port)
        for client, worker, rest in ((own, first, second), (other, second, first)):
            async with _accepting(worker, rest):
                client.aim(await newest(port))
                client.start()
                await until([client], LIMIT, "in the beginning")
        for number in range(count):
            for client in (own, other):
                client.aim(2 + number)
            sent = time.monotonic()
            answer = await http.put(f"/flags/{flag['id']}/enabled", json={"enabled": number % 2 == 0})
            check(answer.json()["snapshotID"] == 2 + number, "a change was not the only one")
            await _within(until([own, other], LIMIT, "after a change"))
            found.append((sent, own.current_at or 0.0, other.current_at or 0.0))
            await asyncio.sleep(_PAUSE)
        for client in (own, other):
            check(not client.faults, f"events did not fit: {client.faults[:3]}")
            await client.stop()
    return found


async def _within(work: Awaitable[_T]) -> _T:
    async with asyncio.timeout(LIMIT):
        return await work


@asynccontextmanager
async def _accepting(worker: int, other: int) -> AsyncIterator[None]:
    """Let one worker be who accepts: the other one is stopped."""
    check(worker != other, "there is one worker only")
    os.kill(other, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(other, signal.SIGCONT)
