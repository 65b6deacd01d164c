"""An event loop that runs only while it is called, in the thread that calls: for managers that leave nothing behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import Closed, TransportError
from .daemons import wait_in_daemon_thread
from .loading import load
from .loop_thread import STOP_TIMEOUT, InChild

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

    from .client_loop import Closing

_T = TypeVar("_T")

#: Seconds by which waiting for the calls of other threads outlasts the limit of the call itself.
_MARGIN = 2.0


class OnDemand:
    """Runs coroutines for threads that have no event loop, one at a time; what `LoopThread` is without a thread.

    Args:
        name: what it is called in messages.
        in_child: a method to call in a forked child, before the first call there.
        modules: what to load before the first call (`loading`).
    """

    def __init__(self, name: str, in_child: InChild, modules: tuple[str, ...]) -> None:
        self._name = name
        self._modules = modules
        self._in_child = in_child
        self._closed = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._pid = os.getpid()
        # Guards the loop, which one thread can run at a time. Reentrant, because a signal handler may call `stop`.
        self._lock = threading.RLock()
        self._loop: AbstractEventLoop | None = None
        self._task: Task[Any] | None = None

    @property
    def runs(self) -> bool:
        """Whether there is a thread that has to be stopped: never."""
        return False

    @property
    def closed(self) -> bool:
        """Whether `stop` was called."""
        return self._closed

    def call(self, work: Coroutine[Any, Any, _T], timeout: float) -> _T:
        """Run `work` in this thread and return its result.

        Args:
            work: what to do; it has to keep to the timeout by itself.
            timeout: seconds that it may take.

        Raises:
            Closed: `stop` was called, before or meanwhile.
            TransportError: another thread's call did not end in time.
        """
        self._notice_fork()
        if not self._lock.acquire(timeout=timeout + _MARGIN):
            work.close()
            raise TransportError(f"{self._name}: no result within {timeout:g} s", kind="timeout")
        try:
            if self._closed or self._task is not None:
                work.close()
                raise Closed(f"{self._name} is closed, or busy with the call that this one interrupts")
            return self._run(work)
        finally:
            self._lock.release()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Leave `work` undone: nothing goes on between calls."""
        work.close()

    def stop(self, _closing: Closing, timeout: float = STOP_TIMEOUT) -> None:
        """Accept no more calls, and end the one that is being made.

        Args:
            _closing: not called: every call closes what it has opened.
            timeout: most seconds to wait for a call of another thread.
        """
        self._notice_fork()
        self._closed = True
        loop, task = self._loop, self._task
        if loop is not None and task is not None:
            # It may end, and close its loop, at this very moment.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)
        if not self._lock.acquire(timeout=timeout):
            return
        try:
            if self._loop is not None and self._task is None:
                self._loop.close()
                self._loop = None
        finally:
            self._lock.release()

    def __del__(self) -> None:
        # Nothing runs, so there is nothing to warn of; but the loop has descriptors.
        loop: AbstractEventLoop | None = getattr(self, "_loop", None)
        if loop is not None and self._pid == os.getpid():
            loop.close()

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self._loop is None:
            load(self._modules)
            from .client_loop import ClientLoop

            self._loop = ClientLoop()
        # Loaded with the loop.
        from asyncio import get_running_loop

        loop = self._loop
        run = partial(self._run_on, loop, work)
        try:
            get_running_loop()
        except RuntimeError:
            return run()
        # The caller's own loop stands still meanwhile, as with any call that blocks.
        return wait_in_daemon_thread(self._name, run)

    def _run_on(self, loop: AbstractEventLoop, work: Coroutine[Any, Any, _T]) -> _T:
        # Loaded with the loop.
        from asyncio import CancelledError

        self._task = task = loop.create_task(work)
        try:
            return loop.run_until_complete(task)
        except CancelledError:
            raise Closed(f"{self._name} was closed meanwhile") from None
        finally:
            if not task.done():
                # Interrupted, by Ctrl+C or an exception of a signal handler.
                task.cancel()
                with suppress(CancelledError):
                    loop.run_until_complete(task)
            self._task = None
            if self._closed:
                loop.close()
                self._loop = None

    def _notice_fork(self) -> None:
        if os.getpid() == self._pid:
            return
        parents_loop = self._loop
        self._begin_anew()
        if parents_loop is not None:
            _parents_loops.append(parents_loop)
            self._in_child()


#: Loops that this process has from its parent: one that is collected closes itself, and what the two share with it.
_parents_loops: list[object] = []
