"""What evaluation takes while something goes on: changes that arrive, or a server that hangs.

Each program has its share of the machine: the evaluations, with all that the SDK does, one core, and the servers and
whoever changes their flags the others. Otherwise they would take turns, and what the SDK costs could not be told from
what they cost. What is left of them (caches, the machine's clock) shows in the control: changes at a server of which
the manager hears nothing.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

import httpx2
from api import check, fill
from processes import ServerProcess

from flagent import OfflineConfig, OfflineManager

_FLAGS = 1000
_CONTEXT = {"country": "DE", "age": 30}
_CONFIG = OfflineConfig(enable_persistence=False)


def evaluations(rounds: int, seconds: float) -> dict[str, float]:
    """Return p99 of one evaluation at rest, and how many times that it is meanwhile; medians of rounds by turns.

    Each is compared with the rest of its own round: the machine is another one in each minute.
    """
    found: dict[str, list[float]] = {"rest": [], "updating": [], "elsewhere": [], "hanging": []}
    mine, others = shares()
    with ExitStack() as stack:
        stack.enter_context(only_on(others))
        server, another = (stack.enter_context(filled()) for _ in range(2))
        stack.enter_context(only_on(mine))
        manager = stack.enter_context(OfflineManager(server.url, _CONFIG))
        manager.enable_realtime_updates()
        p99(manager, seconds)
        for _ in range(rounds):
            found["rest"].append(p99(manager, seconds))
            for name, url in (("updating", server.url), ("elsewhere", another.url)):
                with Changing(url, others) as changing:
                    until(changing.begun, "there were no changes")
                    made = changing.made
                    found[name].append(p99(manager, seconds))
                    check(changing.made - made > 20 * seconds, "there were few changes")
            os.kill(server.pid, signal.SIGSTOP)
            try:
                found["hanging"].append(p99(manager, seconds))
            finally:
                os.kill(server.pid, signal.SIGCONT)
        newest = httpx2.get(f"{server.url}/api/v1/export/eval_cache/json", trust_env=False).json()["revision"]
        until(lambda: manager.status.cursor == newest, "the manager is not current in the end")
    rest = found.pop("rest")
    return {"evaluate_p99_ns": statistics.median(rest)} | {
        f"{name}_ratio": round(statistics.median(time / still for time, still in zip(times, rest, strict=True)), 3)
        for name, times in found.items()
    }


def p99(manager: OfflineManager, seconds: float) -> float:
    """Return the nanoseconds of one evaluation, the 99th percentile."""
    times = []
    clock, evaluate = time.perf_counter_ns, manager.evaluate
    end = clock() + int(seconds * 1e9)
    while (began := clock()) < end:
        evaluate("k500", "user123", _CONTEXT)
        times.append(clock() - began)
    times.sort()
    return times[len(times) * 99 // 100]


class Changing:
    """Makes 100 changes a second, in a process of its own.

    Args:
        url: the server whose flag is changed.
        cores: where the process runs.
    """

    def __init__(self, url: str, cores: set[int]) -> None:
        self.made = 0
        self._url = url
        self._cores = cores
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def begun(self) -> bool:
        """Tell whether there was a change."""
        return self.made > 0

    def _run(self) -> None:
        program = (
            "import sys, time, httpx2\n"
            "with httpx2.Client(base_url=sys.argv[1], trust_env=False) as http:\n"
            "    for n in range(100_000):\n"
            "        http.put('/api/v1/flags/1', json={'description': str(n)}).raise_for_status()\n"
            "        print(n, flush=True)\n"
            "        time.sleep(0.01)\n"
        )
        with (
            only_on(self._cores),
            subprocess.Popen([sys.executable, "-c", program, self._url], stdout=subprocess.PIPE) as process,
        ):
            assert process.stdout is not None
            while not self._stop.is_set() and process.stdout.readline():
                self.made += 1
            process.terminate()


def shares() -> tuple[set[int], set[int]]:
    """Return the core of the evaluations, and those of everything else; the same where there is only one."""
    first, *rest = sorted(os.sched_getaffinity(0))
    return {first}, set(rest) or {first}


@contextmanager
def only_on(cores: set[int]) -> Iterator[None]:
    """Let this thread, and what it starts, run on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def filled() -> Iterator[ServerProcess]:
    """Start a server with flags."""
    with tempfile.TemporaryDirectory() as folder, ServerProcess(f"sqlite:///{folder}/flags.db") as server:
        fill(server.url, _FLAGS)
        yield server


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 10
    while not condition():
        check(time.monotonic() < end, what)
        time.sleep(0.005)
