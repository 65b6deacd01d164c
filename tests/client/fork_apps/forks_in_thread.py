"""Forks a hundred times, in a thread, while the stream of the parent applies changes.

It says how many children were fresh. A child evaluates at once, becomes live, sees the flag both on and off, and ends.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
import warnings

from client.fork_apps.live_manager import FLAG, keep_writing, manager

NUMBER = 100
AT_A_TIME = 5
FRESH = 5.0

# Python 3.12 and newer warn of forks in programs with threads, which is what is tested here.
warnings.simplefilter("ignore", DeprecationWarning)


def until(condition: object, end: float) -> None:
    """Wait until the callable returns something true."""
    assert callable(condition)
    while not condition():
        assert time.monotonic() < end, "not within the limit"
        time.sleep(0.002)


def child() -> None:
    """Check what a child may expect."""
    start = time.monotonic()
    result = manager.evaluate(FLAG, "user123")
    assert time.monotonic() - start < 1.0
    assert result.reason.name in {"MATCH", "FLAG_DISABLED"}, result
    until(manager.is_realtime_enabled, start + FRESH)
    for wanted in (True, False):
        until(lambda wanted=wanted: manager.is_enabled(FLAG, "user123") is wanted, start + FRESH)
    assert manager.status.divergences == 0
    manager.close()


def fork() -> int:
    """Run a child and return its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        child()
        code = 0
    except BaseException:  # noqa: BLE001 - the exit code tells
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    """Fork, some at a time, and count."""
    failed, running = 0, set[int]()
    for _ in range(NUMBER):
        running.add(fork())
        while len(running) >= AT_A_TIME:
            pid, status = os.waitpid(-1, 0)
            running.discard(pid)
            failed += status != 0
    for pid in running:
        failed += os.waitpid(pid, 0)[1] != 0
    print(f"{NUMBER - failed} of {NUMBER} were fresh, parent live: {manager.is_realtime_enabled()}", flush=True)


keep_writing("parent")
forking = threading.Thread(target=main, name="forking")
forking.start()
forking.join()
manager.close()
