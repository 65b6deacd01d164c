"""Forked processes in tests."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

from waiting import until

LIMIT = 20.0


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked child and return its process id; `exit_code` waits for it."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - the exit code tells
        traceback.print_exc()
    finally:
        os._exit(code)


def exit_code(child: int) -> int:
    """Wait for the end of a child."""
    status: list[int] = []

    def ended() -> bool:
        pid, code = os.waitpid(child, os.WNOHANG)
        status.append(code)
        return pid != 0

    until(ended, LIMIT)
    return os.waitstatus_to_exitcode(status[-1])
