"""A server as a process of its own, which can be killed and started again, and what changes its flags by REST."""

from __future__ import annotations

import json
import os
import random
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx2
from api import Failed, check

HOST = "127.0.0.1"
LIMIT = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")
#: Files that a process needs besides one for each client.
_SPARE_FILES = 200
_END_LIMIT = 30.0

#: A server that says when it answers, on the machine's monotonic clock.
_SERVER = """
import os, time
from flagent.server.run import serve
from flagent.server.settings import Settings
serve(Settings.from_environment(os.environ), on_ready=lambda _: print(time.monotonic(), flush=True))
"""


class ServerProcess:
    """A server on a database and a port of its own, which it keeps when it is started again.

    Attributes:
        ready_at: when it answered, on the monotonic clock.
        start_s: seconds that its start took.
    """

    def __init__(self, database: str, **settings: object) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.ready_at = self.start_s = 0.0
        self._process: subprocess.Popen[str] | None = None
        mine = {"DATABASE_URL": database, "HOST": HOST, "PORT": self.port}
        mine |= {name.upper(): value for name, value in settings.items()}
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("FLAGENT_")}
        self._environ |= {f"FLAGENT_{name}": str(value) for name, value in mine.items()}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_END_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers."""
        began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self._environ,
        )
        assert self._process.stdout is not None
        with self._process.stdout as said_first:
            said = said_first.readline().strip()
        check(bool(said), "the server did not start")
        self.ready_at = float(said)
        self.start_s = self.ready_at - began

    def kill(self) -> None:
        """End it by SIGKILL, so that all its connections break at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def memory(self) -> int:
        """Return the bytes of memory that it occupies."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return 1024 * int(line.split()[1])
        raise Failed("the memory of the server can't be read")

    def cpu(self) -> float:
        """Return the seconds of CPU time that it has used, with its workers, if it has some."""
        return sum(cpu_of(pid) for pid in (self.pid, *workers_of(self.pid)))


class Editor:
    """Makes changes by REST, each of which is one revision."""

    def __init__(self, url: str) -> None:
        self.revision = 0
        self._http = httpx2.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, timeout=LIMIT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def toggle(self, count: int) -> None:
        """Toggle the first flag so many times."""
        flag = (await self._http.get("/flags/1")).json()
        for _ in range(count):
            answer = await self._http.put("/flags/1/enabled", json={"enabled": not flag["enabled"]})
            flag = answer.json()
            check(answer.status_code == 200, f"a change was refused: {answer.text[:200]}")
            self.revision = flag["snapshotID"]

    async def describe(self, changes: int, edition: str, *, flags: int, at_once: int) -> None:
        """Change descriptions of so many flags in turn, `at_once` in each transaction."""
        for first in range(0, changes, at_once):
            keys = (f"flag_{number % flags}" for number in range(first, first + at_once))
            # All else as `fill` made it.
            described = [_described(key, f"{edition}, from change {first}") for key in keys]
            body = {"format": "json", "content": json.dumps({"version": "1", "flags": described})}
            answer = await self._http.post("/import", json=body)
            check(answer.json().get("updated") == at_once, f"import: {answer.text[:200]}")


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def workers_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _described(key: str, description: str) -> dict[str, Any]:
    """Return a flag of the document that `fill` imports, with another description."""
    shares = [{"variantKey": "on", "percent": 50}, {"variantKey": "off", "percent": 50}]
    rule = {"property": "country", "operator": "EQ", "value": "DE"}
    return {
        "key": key,
        "description": description,
        "enabled": True,
        "variants": [{"key": "on"}, {"key": "off"}],
        "segments": [{"rolloutPercent": 100, "constraints": [rule], "distributions": shares}],
    }


def free_port() -> int:
    """Return a port that is free, and that no client's end of a connection can get.

    A client that tries again and again to connect to a dead server's port in the range of
    those would be connected to itself one day, and the server could not come back.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = random.randrange(max(1024, lowest - 10_000), lowest)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port
    raise Failed("no port is free")


def allow_files(clients: int) -> None:
    """Raise the limit of open files as far as it goes; server processes inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = clients + _SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise Failed(f"{clients} clients need {needed} open files, the limit is {hard}: use --clients {hard - 200}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed) if hard == resource.RLIM_INFINITY else hard, hard))
