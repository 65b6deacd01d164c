"""A daemon thread with an event loop: where the managers and clients without `async` do their network work.

It starts at the first use and ends within a bounded time, from any thread. A forked child has no
such thread: there it begins anew at the next use, and never touches what the parent's thread has.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import Closed, ConfigurationError, TransportError
from .forks import after_in_child, follow_uwsgi
from .loading import load
from .logger import logger

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from .client_loop import Closing

_T = TypeVar("_T")

#: Seconds within which `stop` returns.
STOP_TIMEOUT = 2.0
#: Seconds that all threads together may take to end when the interpreter does.
_EXIT = 1.0
#: Seconds by which waiting for work outlasts the limit that the work itself has.
_MARGIN = 2.0

#: Called in a forked child.
InChild = Callable[[], object]


class LoopThread:
    """Runs coroutines for threads that have no event loop.

    Args:
        name: of the thread.
        in_child: a method to call in a forked child, if the parent had started the thread; it must not do any
            network I/O. It is held weakly, so that its owner can be collected, and notice that nobody closed it.
        modules: what to load before the thread begins (`loading`).
    """

    def __init__(self, name: str, in_child: InChild, modules: tuple[str, ...]) -> None:
        self._name = name
        self._in_child = weakref.WeakMethod(in_child)
        self._modules = modules
        self._closed = False
        self._begin_anew()
        # Before anything else can happen: a fork may come while another thread has the lock.
        _threads.add(self)

    def _begin_anew(self) -> None:
        # Guards the three below, for the time that it takes to read or replace them. Reentrant, because
        # a signal handler may call `stop` while the main thread is in here.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._loop: AbstractEventLoop | None = None

    @property
    def name(self) -> str:
        """What it was named."""
        return self._name

    @property
    def runs(self) -> bool:
        """Whether there is a thread that has to be stopped."""
        return self._thread is not None and not self._closed

    @property
    def closed(self) -> bool:
        """Whether `stop` was called."""
        return self._closed

    def call(self, work: Coroutine[Any, Any, _T], timeout: float) -> _T:
        """Run `work` on the loop and return its result.

        Args:
            work: what to do; it has to keep to the timeout by itself.
            timeout: seconds that it may take.

        Raises:
            Closed: `stop` was called, before or meanwhile.
            ConfigurationError: this is the loop's own thread, which can't wait for itself.
            TransportError: the work did not end in time.
        """
        try:
            loop = self._running_loop()
            if self._thread is threading.current_thread():
                raise ConfigurationError("this call waits for flagent's own thread, and must not be made on it")
        except BaseException:
            work.close()
            raise
        # Loaded with the loop.
        from asyncio import run_coroutine_threadsafe
        from concurrent.futures import CancelledError

        future = run_coroutine_threadsafe(work, loop)
        try:
            return future.result(timeout + _MARGIN)
        except CancelledError:
            raise Closed(f"{self._name} was closed meanwhile") from None
        except TimeoutError:
            if future.done():
                raise
            raise TransportError(f"{self._name}: no result within {timeout:g} s", kind="timeout") from None
        finally:
            future.cancel()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` on the loop without waiting for it."""
        try:
            loop = self._running_loop()
        except BaseException:
            work.close()
            raise
        # Loaded with the loop.
        from asyncio import run_coroutine_threadsafe

        run_coroutine_threadsafe(work, loop)

    def stop(self, closing: Closing, timeout: float = STOP_TIMEOUT) -> None:
        """End the thread, cancelling what it does; return when it has ended, or after `timeout` seconds.

        It may be called from any thread, more than once, and on the loop itself, where it does not wait.

        Args:
            closing: closes what was opened on the loop; it is awaited there.
            timeout: most seconds to wait; 0 does not wait.
        """
        with self._lock:
            thread, loop, first = self._thread, self._loop, not self._closed
            self._closed = True
        if thread is None or loop is None:
            return
        if first:
            # Loaded with the loop.
            from .client_loop import end

            # A loop that is closed has ended by itself, at the end of the interpreter.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(end, loop, closing)
        if timeout > 0 and thread is not threading.current_thread():
            thread.join(timeout)
            if thread.is_alive():
                logger().warning("%s: its thread does not end; it is left behind", self._name)

    def leave(self) -> threading.Thread | None:
        """Begin to end because the interpreter does; return the thread, if there is one. Nothing counts as closed."""
        with self._lock:
            thread, loop = self._thread, self._loop
        if loop is not None:
            # A loop that is closed has ended already.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.stop)
        return thread

    def after_fork(self) -> None:
        """Forget the parent's thread; called in a forked child, where no other thread is."""
        thread, loop = self._thread, self._loop
        self._begin_anew()
        if thread is not None:
            # Kept for ever: a loop that is collected closes itself, and would take its sockets out of
            # the parent's selector, which the two processes share.
            _parents_loops.append(loop)
            in_child = self._in_child()
            if in_child is not None and not self._closed:
                in_child()

    def _running_loop(self) -> AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise Closed(f"{self._name} is closed")
            if self._loop is None:
                self._check_gevent()
                loop, thread = self._begun()
                self._loop, self._thread = loop, thread
                if self._closed:
                    # A signal handler called `stop` while this thread was in here, and found nothing to end.
                    loop.call_soon_threadsafe(loop.stop)
                    raise Closed(f"{self._name} is closed")
            return self._loop

    def _begun(self) -> tuple[AbstractEventLoop, threading.Thread]:
        try:
            load(self._modules)
            from .client_loop import ClientLoop, run

            follow_uwsgi()
            loop = ClientLoop()
            thread = threading.Thread(target=run, args=(loop,), name=self._name, daemon=True)
            try:
                thread.start()
            except BaseException:
                loop.close()
                raise
        except (OSError, RuntimeError) as exc:
            # No descriptor or no thread to be had: later there may be.
            raise TransportError(f"{self._name} can't start: {exc}") from exc
        return loop, thread

    def _check_gevent(self) -> None:
        # Its greenlets share what asyncio keeps for each thread: which event loop is running.
        monkey = sys.modules.get("gevent.monkey")
        if monkey is None or not monkey.is_module_patched("threading"):
            return
        others = [each for each in list(_threads) if each is not self and each.runs]
        if others:
            raise ConfigurationError(
                "gevent has patched threads, so only one manager or client can run at a time: "
                f"{self._name} can't start while {others[0].name} does; close that one, or use one for everything"
            )


#: Which objects a fork concerns, and the loops that children must not touch: nothing else can tell the hook.
_threads: weakref.WeakSet[LoopThread] = weakref.WeakSet()
_parents_loops: list[object] = []


def _after_fork_in_child() -> None:
    for each in list(_threads):
        each.after_fork()


after_in_child(_after_fork_in_child)


@atexit.register
def _leave() -> None:
    """End all threads: one that is still at work while the interpreter is taken apart can crash it."""
    end = time.monotonic() + _EXIT
    for thread in [each.leave() for each in list(_threads)]:
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, end - time.monotonic()))
