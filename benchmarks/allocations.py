"""Counting how often this process asks for memory, what is given back at once included."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from building import Missing, c_program


@contextmanager
def counting() -> Iterator[Callable[[], int] | None]:
    """Let requests for memory be counted; None where the counter can't be built."""
    try:
        library = ctypes.PyDLL(str(c_program("allocations", "-shared", "-fPIC")))
    except Missing:
        yield None
        return
    library.counted.restype = ctypes.c_longlong
    library.start_counting()
    try:
        yield library.counted
    finally:
        library.stop_counting()
