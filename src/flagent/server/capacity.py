"""Connections that the system lets a server have: as many as it permits, and room for them from the beginning.

The kernel doubles a process's table of descriptors when a connection finds no place in it, and if the process has
threads, whoever accepts that connection waits until no other thread can be looking at the old one: ten to thirty
milliseconds for each doubling, in which nothing else on the event loop happens. That is while many clients
connect at the same time, which is when it hurts. So the table is made as large as it can get before there are threads.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

#: More than this no server needs; some systems permit a thousand times as many.
_MOST_DESCRIPTORS = 1 << 20
#: Descriptors for everything but streams.
_BESIDES = 1024


def allow_descriptors() -> None:
    """Let this process have as many connections as it may; what programs get by default is made for terminals."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft < most:
        # Where it is refused after all, the limit stays what it was.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def make_room(streams: int) -> None:
    """Have the kernel make its table of descriptors for so many streams, as far as they are permitted.

    It takes eight bytes of the kernel for each.
    """
    if sys.platform == "win32":
        return
    import fcntl
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    permitted = _MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, _MOST_DESCRIPTORS)
    last = min(permitted, streams + _BESIDES) - 1
    # It is only quicker with it.
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("rb") as null:
        os.close(fcntl.fcntl(null, fcntl.F_DUPFD_CLOEXEC, last))
