"""A soak from beginning to end: faults, calms in which everybody has to be current, and the report."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from live import free_port

from . import faults
from .network import Network
from .processes import ClientProcess, ServerProcess
from .truth import Findings, Judge, Truth
from .writer import Writer

#: Seconds: the server's heartbeat, and between its restarts' goodbyes.
_HEARTBEAT, _DRAIN = 5.0, 3.0
#: Seconds of faults, then without, and within which everybody has to be current then: the longest wait between two
#: tries, a stream found dead, a request that hangs.
_TROUBLE, CONVERGENCE = 240.0, 90.0
#: Seconds between two looks at what processes use.
_LOOK = 5.0
#: The processes with clients: whether each client has a thread, or all share an event loop.
_KINDS = {"threads-1": "thread", "tasks-1": "task", "threads-2": "thread", "tasks-2": "task"}
#: Seconds between two faults.
_PAUSE = (2.0, 15.0)


#: Is called with lines for people.
Told = Callable[[str], None]


class Soak:
    """One soak.

    Args:
        folder: for the database, what clients keep, and logs.
        seconds: how long.
        count: clients, in four processes.
        seed: decides which faults there are, and when.
    """

    def __init__(self, folder: Path, *, seconds: float, count: int, seed: int) -> None:
        self._seconds, self._chance, self._seed = seconds, random.Random(seed), seed
        self._truth, self._findings = Truth(), Findings()
        self._ended = threading.Event()
        self._began = time.monotonic()
        self._newest: dict[str, dict[str, Any]] = {}
        self._used: dict[str, list[tuple[float, dict[str, int]]]] = {}
        self._staleness: list[tuple[float, float]] = []
        self._happened: list[tuple[float, float, str]] = []
        self._calms: list[dict[str, float]] = []
        self._server = ServerProcess(folder, free_port(), heartbeat=_HEARTBEAT, drain_window=_DRAIN)
        self._network = Network(self._server.port, seed)
        self._folder, self._count = folder, count
        self._judges = {name: Judge(name, self._truth, self._findings) for name in _KINDS}
        self._clients: list[ClientProcess] = []

    def run(self, told: Told) -> dict[str, Any]:
        """Run it; return the report. `told` is called with lines for people; Ctrl+C ends it early, with a report."""
        with ExitStack() as stack:
            self._server.start()
            stack.callback(self._end_server)
            stack.enter_context(self._network)
            writer = stack.enter_context(Writer(self._server.url, self._truth))
            for name in _KINDS:
                client = self._client(name)
                client.start()
                stack.callback(client.stop)
                self._clients.append(client)
            looking = threading.Thread(target=self._look, daemon=True)
            looking.start()
            try:
                self._calm(writer, told)
                while not self._calms[1:] or self._left() > 0:
                    self._trouble(told)
                    self._calm(writer, told)
            except KeyboardInterrupt:
                told("ending early")
            self._ended.set()
            looking.join()
            return self._report(writer)

    def _client(self, name: str) -> ClientProcess:
        arguments = [self._network.url, str(self._count // len(_KINDS)), _KINDS[name]]
        return ClientProcess(name, arguments, self._folder, partial(self._reported, name))

    def _left(self) -> float:
        return self._began + self._seconds - time.monotonic()

    def _trouble(self, told: Told) -> None:
        possible = [
            *faults.of_the_server(self._server, self._ended.wait),
            *faults.of_clients(self._clients, self._chance, self._ended.wait),
            *self._network.faults(self._ended.wait),
        ]
        end = time.monotonic() + min(_TROUBLE, self._left())
        while True:
            fault, seconds, began = self._chance.choice(possible), faults.duration(self._chance), time.monotonic()
            told(f"{self._minutes()}  {fault.name}, {seconds:.0f} s")
            fault.take(seconds)
            self._happened.append((began - self._began, time.monotonic() - self._began, fault.name))
            if time.monotonic() >= end:
                return
            self._ended.wait(self._chance.uniform(*_PAUSE))

    def _calm(self, writer: Writer, told: Told) -> None:
        """Wait until everybody has what the server has."""
        began, wanted = time.monotonic(), _revision(writer.state()["revision"])
        while True:
            current = [
                client["cursor"] is not None and client["state"] == "live" and _revision(client["cursor"]) >= wanted
                for said in self._newest.values()
                for client in said["clients"]
            ]
            # Every report has to be newer than the beginning of the calm.
            fresh = len(self._newest) == len(self._clients) and all(
                said["at"] > began for said in self._newest.values()
            )
            if fresh and all(current):
                break
            gone = [client.name for client in self._clients if client.ended]
            assert not gone, f"{gone} ended by themselves: see their logs"
            if time.monotonic() > began + CONVERGENCE:
                self._findings.say(
                    f"{current.count(False)} clients are not current {CONVERGENCE:.0f} s after the last fault"
                )
                break
            time.sleep(0.5)
        self._check_digests(writer)
        took = time.monotonic() - began
        self._calms.append({"at": began - self._began, "seconds": took, "clients": len(current)})
        told(
            f"{self._minutes()}  calm: {len(current)} clients current after {took:.1f} s, {self._findings.count} wrong"
        )

    def _check_digests(self, writer: Writer) -> None:
        """Hold each client against the server's digest at the same revision."""
        digests: dict[str, set[int]] = {}
        for said in self._newest.values():
            for client in said["clients"]:
                digests.setdefault(client["cursor"], set()).add(client["digest"])
        state = writer.state()
        digests.setdefault(state["revision"], set()).add(int(state["digest"], 16))
        for cursor, found in digests.items():
            if len(found) > 1:
                self._findings.say(f"{cursor} has {len(found)} digests")

    def _reported(self, name: str, said: dict[str, Any]) -> None:
        self._judges[name].look(said["clients"])
        self._newest[name] = said | {"at": time.monotonic()}

    def _look(self) -> None:
        """Note from time to time what every process uses, and the greatest staleness."""
        while not self._ended.wait(_LOOK):
            at = time.monotonic() - self._began
            used = {"server": self._server.used()}
            for name, said in tuple(self._newest.items()):
                used[name] = {each: said[each] for each in ("threads", "descriptors", "resident")}
            for name, numbers in used.items():
                if numbers:
                    self._used.setdefault(name, []).append((at, numbers))
            said_stale = [
                client["staleness"]
                for said in tuple(self._newest.values())
                for client in said["clients"]
                if client["cursor"]
            ]
            self._staleness.append((at, max(said_stale, default=0.0)))

    def _end_server(self) -> None:
        # It may be frozen when the soak ends early.
        self._server.signal(signal.SIGCONT)
        self._server.signal(signal.SIGINT)
        self._server.wait()

    def _minutes(self) -> str:
        return f"{(time.monotonic() - self._began) / 60:6.1f} min"

    def _report(self, writer: Writer) -> dict[str, Any]:
        found = self._findings
        return {
            "seed": self._seed,
            "seconds": round(time.monotonic() - self._began, 1),
            "clients": sum(len(said["clients"]) for said in self._newest.values()),
            "changes": self._truth.count,
            "changes_refused": writer.failed,
            "server_starts": self._server.starts,
            "faults": dict(Counter(name for _, _, name in self._happened)),
            "wrong": found.count,
            "wrong_said": found.wrong,
            "divergences": sum(client["divergences"] for said in self._newest.values() for client in said["clients"]),
            "samples": found.samples,
            "most_stale_seconds": round(found.most_stale, 2),
            "most_beyond_bound_seconds": round(found.most_over, 2),
            "most_understated_seconds": round(found.most_hidden, 2),
            "slowest_convergence_seconds": round(max((calm["seconds"] for calm in self._calms), default=0.0), 1),
            "calms": self._calms,
            "used": self._used,
            "staleness": self._staleness,
            "happened": self._happened,
        }


def _revision(cursor: str) -> int:
    return int(cursor.rpartition(":")[2])
