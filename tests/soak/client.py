"""A process with many clients: says every second what each believes, and what the process uses.

`python -m soak.client URL COUNT thread|task` prints JSON lines and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from typing import Any

from flagent import AsyncOfflineManager, FlagentError, OfflineConfig, OfflineManager

#: Seconds between two reports.
_PERIOD = 1.0
_CONFIG = OfflineConfig(refresh_interval=10.0, safety_poll_interval=60.0, fallback_after=20.0)

Manager = OfflineManager | AsyncOfflineManager


def believed(manager: Manager) -> dict[str, Any]:
    """Return what a manager says about itself, and evaluates."""
    # In this order: what happens in between makes the flags newer than is said, never older.
    at, status = time.monotonic(), manager.status
    ruleset = manager._replica.ruleset
    manager.evaluate("k1", "user-1", {"n": 1})
    return {
        "at": at,
        "state": status.state.value,
        "cursor": status.cursor,
        "digest": None if ruleset is None else ruleset.snapshot.digest,
        "staleness": status.staleness,
        "bound": status.staleness_bound,
        "divergences": status.divergences,
    }


def used() -> dict[str, int]:
    """Return what this process uses."""
    return {
        "threads": threading.active_count(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "resident": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
    }


def report(managers: list[Manager]) -> None:
    """Print a line."""
    print(json.dumps({"clients": [believed(manager) for manager in managers], **used()}), flush=True)


def with_threads(url: str, count: int, ended: threading.Event) -> None:
    """Run managers that have a thread each."""
    with ExitStack() as stack:
        managers: list[Manager] = []
        for _ in range(count):
            manager = OfflineManager(url, _CONFIG)
            stack.callback(manager.close)
            # Flags from disk, if the server can't be reached at this moment; or none, which is tried again.
            with suppress(FlagentError):
                manager.bootstrap(timeout=_PERIOD)
            manager.enable_realtime_updates(timeout=0)
            managers.append(manager)
        while not ended.wait(_PERIOD):
            report(managers)


async def with_tasks(url: str, count: int, ended: threading.Event) -> None:
    """Run managers on one event loop."""
    async with AsyncExitStack() as stack:
        managers: list[Manager] = []
        for _ in range(count):
            manager = AsyncOfflineManager(url, _CONFIG)
            stack.push_async_callback(manager.close)
            with suppress(FlagentError):
                await manager.bootstrap(timeout=_PERIOD)
            await manager.enable_realtime_updates(timeout=0)
            managers.append(manager)
        while not ended.is_set():
            await asyncio.sleep(_PERIOD)
            report(managers)


def main() -> None:
    """Run until standard input ends."""
    url, count, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    gc.collect()
    run: dict[str, Callable[[], None]] = {
        "thread": lambda: with_threads(url, count, ended),
        "task": lambda: asyncio.run(with_tasks(url, count, ended)),
    }
    run[kind]()


if __name__ == "__main__":
    main()
