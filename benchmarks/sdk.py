"""Measure what the SDK costs the program that it runs in.

    .venv/bin/python benchmarks/sdk.py [--json] [--quick]

    import      `import flagent`, which loads the rest when it is asked for, both managers, and the client of the REST
                API, each in a fresh process (the goal: under 60 ms)
    live        from the start of a process until its manager follows the server
    constructor making a manager (under 1 ms)
    block       the longest that an AsyncOfflineManager holds the event loop of a program, of several runs in fresh
                processes, while its server is absent, silent, silent with TLS, or stopped (never over 20 ms); beside
                a loop without it
    evaluate    p99 of one evaluation at rest, while 100 changes a second arrive, and while the server hangs; and while
                another server changes, of which the manager hears nothing; by turns, and the goal is a ratio (within
                20 %)
    cycles      threads, descriptors and heap in use after opening and closing live managers (as they were, the heap
                to a quarter of a kilobyte for each); resident memory goes up and down by some megabytes
    memory      what 1,000 flags cost (under 5 MB)

Checked: evaluations give what the server has, before, meanwhile and afterwards.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from api import fill
from blocking import blocked
from meanwhile import evaluations
from output import arguments, told
from processes import ServerProcess
from reopening import left

from flagent import OfflineConfig, OfflineManager

_FLAGS = 1000
_GOALS: dict[str, float] = {
    "import_ms": 60.0,
    "import_managers_ms": 60.0,
    "import_async_managers_ms": 60.0,
    "import_client_ms": 60.0,
    "constructor_ms": 1.0,
    "block_absent_ms": 20.0,
    "block_silent_ms": 20.0,
    "block_silent_tls_ms": 20.0,
    "block_stopped_ms": 20.0,
    "updating_ratio": 1.2,
    "hanging_ratio": 1.2,
    "flags_mb": 5.0,
}
#: Megabytes of heap that may be left of a thousand managers; one with its flags has about four.
_LEFT = 0.25
_CONFIG = OfflineConfig(enable_persistence=False)


def imports(rounds: int) -> dict[str, float]:
    """Return the milliseconds of imports, the median of fresh processes, where Python may keep what it compiled."""
    programs = {
        "import_ms": "import flagent",
        "import_managers_ms": "from flagent import OfflineManager",
        "import_async_managers_ms": "from flagent import AsyncOfflineManager",
        "import_client_ms": "from flagent import FlagentClient",
    }
    found: dict[str, list[float]] = {name: [] for name in programs}
    with compiled() as environment:
        # The first one compiles, as an installation does.
        for _ in range(1 + rounds):
            for name, program in programs.items():
                timed = f"import time; t = time.perf_counter(); {program}; print(time.perf_counter() - t)"
                command = [sys.executable, "-c", timed]
                output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
                found[name].append(float(output) * 1000)
    return {name: round(statistics.median(times[1:]), 2) for name, times in found.items()}


def live(url: str, rounds: int) -> float:
    """Return the milliseconds from the start of a process until its manager is live, the median of fresh ones."""
    program = (
        "import sys, time\n"
        "from flagent import OfflineConfig, OfflineManager\n"
        "with OfflineManager(sys.argv[1], OfflineConfig(enable_persistence=False)) as manager:\n"
        "    manager.enable_realtime_updates()\n"
        "    print(time.monotonic())\n"
    )
    times = []
    with compiled() as environment:
        for _ in range(1 + rounds):
            began = time.monotonic()
            command = [sys.executable, "-c", program, url]
            output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
            times.append((float(output) - began) * 1000)
    return round(statistics.median(times[1:]), 1)


@contextmanager
def compiled() -> Iterator[dict[str, str]]:
    """Give the environment of processes that may keep what they compile."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as cache:
        yield environment | {"PYTHONPYCACHEPREFIX": cache}


def constructor() -> float:
    """Return the milliseconds of making a manager, the median of many."""
    times = []
    for _ in range(200):
        began = time.perf_counter()
        OfflineManager("http://localhost:18000", _CONFIG)
        times.append(time.perf_counter() - began)
    return round(statistics.median(times) * 1000, 4)


def memory(url: str) -> float:
    """Return the megabytes that a manager with all flags needs, in a process of its own."""
    program = (
        "import gc, sys\n"
        "from pathlib import Path\n"
        "from flagent import OfflineConfig, OfflineManager\n"
        "def resident(): return int(Path('/proc/self/statm').read_text().split()[1])\n"
        "config = OfflineConfig(enable_persistence=False)\n"
        "def manager(): m = OfflineManager(sys.argv[1], config); m.bootstrap(); return m\n"
        "first = manager(); gc.collect(); before = resident()\n"
        "others = [manager() for _ in range(10)]\n"
        "[each.evaluate_all('u1') for each in others]; gc.collect()\n"
        "print((resident() - before) * 4096 / 10)\n"
        "[each.close() for each in [first, *others]]\n"
    )
    output = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=True).stdout
    return round(float(output) / 2**20, 2)


def measure(quick: bool) -> dict[str, Any]:
    """Return all numbers."""
    found: dict[str, Any] = imports(5 if quick else 15) | {"constructor_ms": constructor()}
    with tempfile.TemporaryDirectory() as folder, ServerProcess(f"sqlite:///{folder}/flags.db") as server:
        fill(server.url, _FLAGS)
        found["live_ms"] = live(server.url, 5 if quick else 15)
        found |= evaluations(5 if quick else 15, 0.4 if quick else 0.7)
        found |= blocked(server, 2 if quick else 10)
        found |= left(server.url, 50 if quick else 1000)
        found["flags_mb"] = memory(server.url)
    goals = {name: found[name] <= limit for name, limit in _GOALS.items()}
    goals |= {name: found[name] <= 0 for name in ("threads_left", "descriptors_left")}
    if not quick:
        # A few cycles show the caches only.
        goals["heap_left_mb"] = found["heap_left_mb"] <= _LEFT
    return found | {"goals": goals}


def main() -> int:
    """Measure, and print it."""
    asked = arguments(__doc__).parse_args()
    return told(lambda: measure(asked.quick), as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
