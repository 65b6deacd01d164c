"""How much of a stream is read at once.

The event loops of asyncio ask for 256 KB at each read. Memory of that size the C library takes from the system and
gives back each time, which for an event of a few hundred bytes takes several times as long as the read does. Those of
uvloop have a buffer that stays, and so has a connection with TLS.
"""

from __future__ import annotations

from typing import Any

from .direct import transport_of

#: Bytes of one read: most events are smaller, and the C library has as much at hand.
_PIECE = 64 * 1024


def read_in_small_pieces(descriptor: int) -> None:
    """Let the running event loop ask for less at once on the connection of that descriptor."""
    transport: Any = transport_of(descriptor)
    # Without it reads are as large as they always were.
    if hasattr(transport, "max_size"):
        transport.max_size = _PIECE
