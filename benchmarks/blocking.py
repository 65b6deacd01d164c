"""How long the SDK holds the event loop of a program while its server can't be reached.

    python blocking.py CASE [URL [PID]]

Prints the longest time in milliseconds between two moments at which the loop was ready to wait, so in which nothing
else of the program could have run: from making an AsyncOfflineManager, in a fresh process with nothing loaded
beforehand but the class, until it is closed. How late a timer of an idle loop fires is not in it, because that tells
of the machine and not of the SDK (without any SDK, timers of a quiet virtual machine were 20 ms late); nor is what the
thread waited for a core, where the kernel tells. Whatever the SDK waits for is: files, names, locks, the interpreter.

Cases: `unreachable`, where URL is that of a server that is not there, or accepts and says nothing; `stopped`, where it
is that of one that is stopped once the manager is live, with the process to stop behind it; `nothing`, a loop without
any manager; and `checked`, a loop that is held for 30 ms.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from api import Failed, check
from processes import HOST, ServerProcess, free_port

from flagent import AsyncOfflineManager, FlagentError, OfflineConfig

#: Seconds that a manager tries to reach a server, or lives on after its server has stopped.
_SECONDS = 2.0
_HELD_MS = 30.0


class _Watched(selectors.DefaultSelector):
    """Where a loop waits: knows how long it did not."""

    def __init__(self) -> None:
        super().__init__()
        self.longest = 0.0
        self._since: tuple[float, float] | None = None
        self._thread = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait."""
        if self._since is not None:
            began, queued = self._since
            self.longest = max(self.longest, time.perf_counter() - began - (self._queued() - queued))
        ready = super().select(timeout)
        self._since = time.perf_counter(), self._queued()
        return ready

    def _queued(self) -> float:
        """Return the seconds that the thread was ready to run, and was not let."""
        return int(self._thread.read_text().split()[1]) / 1e9 if self._thread.exists() else 0.0


def _held(work: Coroutine[Any, Any, None]) -> float:
    selector = _Watched()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(work)
    return selector.longest * 1000


async def _unreachable(url: str) -> None:
    manager = AsyncOfflineManager(url, OfflineConfig(enable_persistence=False))
    try:
        await manager.enable_realtime_updates(timeout=_SECONDS)
    except FlagentError:
        return
    finally:
        await manager.close()
    raise Failed(f"there is a server at {url}")


async def _stopped(url: str, pid: int) -> None:
    async with AsyncOfflineManager(url, OfflineConfig(enable_persistence=False)) as manager:
        await manager.enable_realtime_updates()
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(_SECONDS)
        finally:
            os.kill(pid, signal.SIGCONT)


async def _hold() -> None:
    asyncio.get_running_loop().call_soon(time.sleep, _HELD_MS / 1000)
    await asyncio.sleep(0.001)


def _run(case: str, *rest: str) -> float:
    """Return the milliseconds of a case in a process of its own."""
    program = [sys.executable, __file__, case, *rest]
    return float(subprocess.run(program, capture_output=True, text=True, check=True).stdout)


def blocked(server: ServerProcess, rounds: int) -> dict[str, float]:
    """Return the most milliseconds of all rounds by case; the cases take turns.

    Raises:
        Failed: a loop that is held is not noticed.
    """
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        cases = {
            "block_nothing_ms": ("nothing",),
            "block_absent_ms": ("unreachable", f"http://{HOST}:{free_port()}"),
            "block_silent_ms": ("unreachable", f"http://{HOST}:{port}"),
            "block_silent_tls_ms": ("unreachable", f"https://{HOST}:{port}"),
            "block_stopped_ms": ("stopped", server.url, str(server.pid)),
        }
        found = {name: [_run(*case) for _ in range(rounds)] for name, case in cases.items()}
    check(_run("checked") >= _HELD_MS, "a loop that is held is not noticed")
    return {name: round(max(times), 2) for name, times in found.items()}


def main() -> None:
    """Run one case, and print what it took."""
    case, *rest = sys.argv[1:]
    if case == "nothing":
        print(_held(asyncio.sleep(_SECONDS)))
    elif case == "checked":
        print(_held(_hold()))
    elif case == "stopped":
        print(_held(_stopped(rest[0], int(rest[1]))))
    else:
        print(_held(_unreachable(rest[0])))


if __name__ == "__main__":
    main()
