"""The calls by which SQLite writes to its files, intercepted: to count them, to fail, or to die in between.

SQLite lets a test replace the functions of the operating system that it uses, for all connections of the process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

#: By one of these it writes, depending on how it was built.
_NAMES = (b"write", b"pwrite", b"pwrite64")
#: Of the table of a file system: where the three functions are that look at its system calls, behind the other fields.
_FIELDS_BEFORE = ("version", "file_size", "path_size")
_POINTERS_BEFORE = 16

Write = Callable[..., int]
#: Gets the real call, and returns what it returns, or the negative number of an error.
Around = Callable[[Callable[[], int]], int]


class _FileSystem(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in _FIELDS_BEFORE),
        ("before", ctypes.c_void_p * _POINTERS_BEFORE),
        ("set", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)),
        ("get", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)),
    ]


def replace_writes(around: Around) -> Callable[[], None]:
    """Call `around` for each write of SQLite, until the returned function is called; it must not be lost before.

    Skips the test where Python's SQLite can't be reached.
    """
    address = _address()
    system = _FileSystem.from_address(address)
    kept: list[Any] = []
    for name in _NAMES:
        real = system.get(address, name)
        if real is None:
            continue
        positions = [] if name == b"write" else [ctypes.c_int64]
        kind = ctypes.CFUNCTYPE(
            ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, *positions, use_errno=True
        )
        replacement = kind(_replacement(around, kind(real)))
        kept.append(replacement)
        system.set(address, name, ctypes.cast(replacement, ctypes.c_void_p))

    def restore() -> None:
        for name in _NAMES:
            system.set(address, name, None)
        # Only now may they be collected.
        kept.clear()

    return restore


@contextmanager
def failing_writes(fails: Callable[[], int]) -> Iterator[None]:
    """Let each write of SQLite fail with the number of an error that `fails` returns; 0 lets it pass."""

    def around(real: Callable[[], int]) -> int:
        number = fails()
        return -number if number else real()

    restore = replace_writes(around)
    try:
        yield
    finally:
        restore()


def _replacement(around: Around, real: Write) -> Write:
    def write(*arguments: Any) -> int:
        done = around(lambda: real(*arguments))
        if done < -1:
            ctypes.set_errno(-done)
            return -1
        return done

    return write


def _address() -> int:
    try:
        import _sqlite3

        library = ctypes.CDLL(_sqlite3.__file__)
        find = library.sqlite3_vfs_find
    except (ImportError, AttributeError, OSError):
        pytest.skip("the SQLite of this Python is built in, so its system calls can't be replaced")
    find.restype, find.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    address = find(None)
    assert isinstance(address, int)
    return address
