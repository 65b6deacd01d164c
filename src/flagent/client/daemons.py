"""Blocking calls in threads that nobody waits for: an executor's would hold the interpreter's end back."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

_T = TypeVar("_T")

#: Seconds in which a thread that has told its result ends; microseconds, in fact.
_END = 0.1
#: Seconds for which the end of the interpreter waits for work that has to be finished; a fraction of one, in fact.
_FINISH = 5.0

_to_finish: WeakSet[threading.Thread] = WeakSet()


@atexit.register
def _finish() -> None:
    for thread in list(_to_finish):
        thread.join(_FINISH)


def is_at_the_end(error: RuntimeError) -> bool:
    """Return whether a thread could not be started because the interpreter ends: from Python 3.12 on none can then."""
    # Python 3.13 has a class for it, which is also raised at other moments of the end.
    return type(error).__name__ == "PythonFinalizationError" or "interpreter shutdown" in str(error)


async def in_daemon_thread(name: str, work: Callable[[], _T], *, finish: bool = False) -> _T:
    """Return what `work` returns, or raise what it raises; when this is cancelled, it goes on by itself.

    When the interpreter ends there are no new threads, and nobody else who would wait: then it is done right here.

    Args:
        name: of the thread.
        work: what to do.
        finish: whether the interpreter must not end in the middle of it: OpenSSL frees what it has at the end of the
            process, also under a thread that is just reading certificates, which crashes.
    """
    # Whoever gets here has an event loop, and so this.
    import asyncio

    loop = asyncio.get_running_loop()
    found: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: Exception | None) -> None:
        if found.done():
            return
        if error is None:
            found.set_result(result)
        else:
            found.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as exc:  # noqa: BLE001 - raised where it is awaited
            error = exc
        # The loop may be closed by now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    if finish:
        _to_finish.add(thread)
    try:
        thread.start()
    except RuntimeError as exc:
        _to_finish.discard(thread)
        if not is_at_the_end(exc):
            raise
        return work()
    try:
        done: _T = await found
    finally:
        if found.done() and not found.cancelled():
            # It has nothing left to do: whoever counts threads afterwards shall not find it.
            thread.join(_END)
    return done


def wait_in_daemon_thread(name: str, work: Callable[[], _T]) -> _T:
    """Return what `work` returns in a thread of its own, or raise what it raises; this thread waits for it."""
    # Only for whoever calls from an event loop, which has loaded it.
    from concurrent.futures import Future

    outcome: Future[_T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as exc:  # noqa: BLE001 - raised where it is waited for
            outcome.set_exception(exc)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        return outcome.result()
    finally:
        if outcome.done():
            thread.join(_END)
