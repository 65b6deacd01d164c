"""Doing something where nobody expects it, such as raising MemoryError: at a chosen call inside one thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Self


class Site(NamedTuple):
    """A place at which a function begins, or a coroutine goes on."""

    file: str
    function: str
    line: int


class Injection:
    """A context manager that traces the threads of a name which begin meanwhile.

    Args:
        thread: what the name of the threads begins with.
        files: which code counts, as a part of the path of its file.
        strike: what to do; without it MemoryError is raised.

    Attributes:
        seen: the sites that were passed, in the order of their first time.
        target: where to do it; it is reset then.
        done: whether it was done since `target` was set.
    """

    def __init__(self, thread: str, *files: str, strike: Callable[[], object] | None = None) -> None:
        self.seen: dict[Site, None] = {}
        self.target: Site | None = None
        self.done = False
        self._thread = thread
        self._files = files
        self._strike = strike

    def __enter__(self) -> Self:
        threading.settrace(self._trace)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        threading.settrace(None)

    def again(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """Trace on after a raise, which ends that for its thread; `call_soon` calls something there."""
        call_soon(lambda: sys.settrace(self._trace))

    def _trace(self, frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if event != "call" or not any(part in code.co_filename for part in self._files):
            return
        if not threading.current_thread().name.startswith(self._thread):
            return
        site = Site(code.co_filename.rpartition("/")[2], code.co_qualname, frame.f_lineno)
        if self.target is None:
            self.seen[site] = None
        elif site == self.target:
            self.target, self.done = None, True
            if self._strike is None:
                raise MemoryError(f"injected at {site}")
            self._strike()
