"""Who calls the listeners: a daemon thread of their own, or a task on the event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from .daemons import is_at_the_end
from .listeners import Listeners
from .logger import logger

if TYPE_CHECKING:
    from asyncio import Task


class ThreadNotifier:
    """Calls listeners in a daemon thread, which begins when there is something to tell for the first time.

    It is not the thread that does the network work: a listener may take as long as it likes, call
    the manager, or never come back, and flags are fresh all the same.
    """

    def check(self, callback: Callable[..., Any]) -> None:
        """Refuse what can't be called back in a thread.

        Raises:
            ConfigurationError: it is a coroutine function.
        """
        # Programs that listen to nothing do without it.
        from inspect import iscoroutinefunction

        if iscoroutinefunction(callback):
            raise ConfigurationError(f"callback: {callback!r} is a coroutine function, which nobody awaits here")

    def __init__(self, name: str) -> None:
        self.listeners = Listeners(self.wake)
        self._name = name
        self._closed = False
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the parent's thread; called in a forked child."""
        self.listeners.begin_anew()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Tell what there is to tell, soon."""
        with self._lock:
            if self._closed:
                return
            self._news.set()
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:
                if is_at_the_end(exc):
                    logger().debug("listeners are not called any more: the interpreter ends")
                    return
                # The flags are fresh all the same; what there is to tell is told with what comes next.
                logger().exception("listeners can't be called now: there is no thread to be had")
            else:
                self._thread = thread

    def close(self, timeout: float) -> None:
        """Call nobody any more; wait for a call that has begun, for at most `timeout` seconds."""
        self.listeners.clear()
        with self._lock:
            self._closed = True
            thread = self._thread
        self._news.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while not self._closed:
            self._news.wait()
            self._news.clear()
            try:
                self._call_all()
            except Exception:  # noqa: BLE001 - nothing may end the thread
                logger().exception("changes could not be told to listeners")

    def _call_all(self) -> None:
        for call in self.listeners.calls():
            if self._closed:
                return
            try:
                call()
            except Exception:  # noqa: BLE001 - a listener may raise anything
                self.listeners.failed(call)


class TaskNotifier:
    """Calls listeners in a task of the manager's event loop, and awaits what they return."""

    def check(self, callback: Callable[..., Any]) -> None:
        """Take anything: what a callback returns is awaited if it can be."""

    def __init__(self) -> None:
        self.listeners = Listeners(self.wake)
        self._closed = False
        self._task: Task[None] | None = None

    def wake(self) -> None:
        """Tell what there is to tell, soon; called on the event loop."""
        if not self._closed and (self._task is None or self._task.done()):
            # Loaded with the loop, here and below.
            from asyncio import get_running_loop

            self._task = get_running_loop().create_task(self._run(), name="flagent listeners")

    def begin_anew(self) -> None:
        """Forget the parent's task; called in a forked child."""
        self.listeners.begin_anew()
        self._task = None

    async def close(self) -> None:
        """Call nobody any more, and end a call that has begun."""
        from asyncio import CancelledError, current_task

        self._closed = True
        self.listeners.clear()
        task, self._task = self._task, None
        if task is not None and task is not current_task():
            task.cancel()
            with suppress(CancelledError):
                await task

    async def _run(self) -> None:
        from asyncio import sleep
        from inspect import isawaitable

        for call in self.listeners.calls():
            try:
                returned = call()
                if isawaitable(returned):
                    await returned
            except Exception:  # noqa: BLE001 - a listener may raise anything
                self.listeners.failed(call)
            # Others on the event loop have a turn between two listeners.
            await sleep(0)
