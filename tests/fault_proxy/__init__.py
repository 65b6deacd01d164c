"""A proxy between the real SDK and the real server that does to their connections what a test says.

    with FaultProxy(server.port) as proxy:
        proxy.streams(Cut(after=b"\\n\\n", times=2), Split(3))   # for every stream that begins from now on
        ...
        proxy.clear()

`faults` has what can happen to the bytes of an answer, as values that are put together in a row; `recoding`
has those that need to know HTTP; `proxy` has what happens to connections; `seeds` draws from all of them.
"""

from .faults import Answer, Buffer, Corrupt, Cut, Delay, Drip, Ending, Fault, IdleLimit, Split
from .proxy import FaultProxy, Request
from .recoding import HTTP10, Gzip
from .seeds import RandomFaults

__all__ = [
    "HTTP10",
    "Answer",
    "Buffer",
    "Corrupt",
    "Cut",
    "Delay",
    "Drip",
    "Ending",
    "Fault",
    "FaultProxy",
    "Gzip",
    "IdleLimit",
    "RandomFaults",
    "Request",
    "Split",
]
