"""How much of what was written to a connection is still on its way: what tells a slow client from one that stalls."""

from __future__ import annotations

import array
import asyncio
import sys
from contextlib import suppress


def bytes_left(transport: asyncio.WriteTransport) -> int:
    """Return the bytes that the other end has not acknowledged; where the kernel does not tell, those before it."""
    left = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if connection is not None and sys.platform == "linux":
        import fcntl
        import termios

        # The kernel asks for more when a third of its buffer is free, which may be long after the client took some.
        queued = array.array("i", [0])
        with suppress(OSError):
            fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, queued)
        left += queued[0]
    return left
