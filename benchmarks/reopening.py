"""What is left of managers that were opened and closed: threads, descriptors and memory.

    python reopening.py URL CYCLES

Prints the numbers as JSON. The heap in use is what the C library has handed out and not got back. It is exact where
Python takes each object from there, which `PYTHONMALLOC=malloc` makes it do; resident memory depends on where the
allocator left holes, and goes up and down by some megabytes.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from api import check

from flagent import OfflineConfig, OfflineManager

#: Managers that are opened and closed before anything counts: caches and tables have to reach their size.
_BEFORE = 500
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Mallinfo(ctypes.Structure):
    """What glibc tells of its heap, in bytes: mallinfo2(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def _counted() -> dict[str, float]:
    """Return what the process has."""
    gc.collect()
    libc = ctypes.CDLL(None)
    mallinfo = libc.mallinfo2
    mallinfo.restype = _Mallinfo
    heap = mallinfo()
    libc.malloc_trim(0)
    return {
        "threads_left": threading.active_count(),
        "descriptors_left": len(list(Path("/proc/self/fd").iterdir())),
        "heap_left_mb": (heap.uordblks + heap.hblkhd) / 2**20,
        "resident_left_mb": int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 2**20,
    }


def _once(url: str) -> None:
    with OfflineManager(url, OfflineConfig(enable_persistence=False)) as manager:
        manager.enable_realtime_updates()
        check(manager.is_realtime_enabled(), "a manager was not live")


def left(url: str, cycles: int) -> dict[str, Any]:
    """Return what is left of so many managers, in a process of their own."""
    program = [sys.executable, __file__, url, str(cycles)]
    environment = {**os.environ, "PYTHONMALLOC": "malloc"}
    found = subprocess.run(program, capture_output=True, text=True, check=True, env=environment)
    return {"cycles": cycles, **json.loads(found.stdout)}


def main() -> None:
    """Open and close managers, and print what is left of them."""
    url, cycles = sys.argv[1], int(sys.argv[2])
    for _ in range(min(_BEFORE, cycles)):
        _once(url)
    before = _counted()
    for _ in range(cycles):
        _once(url)
    print(json.dumps({name: round(value - before[name], 3) for name, value in _counted().items()}))


if __name__ == "__main__":
    main()
