"""An event loop whose time passes only when there is nothing left to do at a moment, and every clock by that loop.

It has what coroutines need, and nothing else: no sockets, no threads, no signals. Calls due at the same moment are
made in the order in which they were asked for, so that one run is like the other.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from heapq import heappop, heappush
from typing import Any, TypeVar

from flagent.client import daemons

_T = TypeVar("_T")

#: Calls at one moment after which time is taken to stand still for ever.
_MOST_AT_ONCE = 50_000
#: How many calls take how many seconds.
_CALLS_IN_A_TICK, _TICK = 500, 1e-6
#: Rounds in which everything that was cancelled has to end.
_ROUNDS = 50


class Stuck(AssertionError):
    """Something waits for what can't happen any more, or never waits at all."""


class _Call:
    """Stands for `asyncio.Handle`."""

    __slots__ = ("args", "callback", "cancelled_", "context", "when_")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context | None) -> None:
        self.callback = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self.cancelled_ = False
        self.when_ = 0.0

    def cancel(self) -> None:
        self.cancelled_ = True

    def cancelled(self) -> bool:
        return self.cancelled_

    def when(self) -> float:
        return self.when_


class VirtualLoop(asyncio.AbstractEventLoop):
    """Goes from one timer to the next without waiting.

    Attributes:
        wall: what the clock of the day is ahead of this one.
        slept: seconds for which the machine was asleep, which this clock did not count.
        failures: what was raised where nobody could catch it.
    """

    def __init__(self) -> None:
        self.wall = 1.7e9
        self.slept = 0.0
        self.failures: list[BaseException] = []
        self._now = 1000.0
        self._ready: deque[_Call] = deque()
        self._timers: list[tuple[float, int, _Call]] = []
        self._number = 0

    def time(self) -> float:
        """Return the time."""
        return self._now

    def run_until_complete(self, future: Any) -> Any:
        """Run until a coroutine has ended."""
        task = self.create_task(future)
        asyncio._set_running_loop(self)
        try:
            self._run(task)
        finally:
            self._abandon()
            asyncio._set_running_loop(None)
        return task.result()

    def _abandon(self) -> None:
        """Cancel what is left after a failure, so that it ends here and not when somebody collects it."""
        for _ in range(_ROUNDS):
            left = asyncio.all_tasks(self)
            if not left:
                return
            for task in left:
                task.cancel()
            for _ in range(len(self._ready)):
                call = self._ready.popleft()
                if not call.cancelled_:
                    with suppress(Exception):
                        call.context.run(call.callback, *call.args)

    def _run(self, task: asyncio.Task[Any]) -> None:
        ready, timers, at_once = self._ready, self._timers, 0
        while not task.done():
            if ready:
                call = ready.popleft()
            elif timers:
                when, _, call = heappop(timers)
                if call.cancelled_:
                    continue
                if when > self._now:
                    self._now, at_once = when, 0
            else:
                raise Stuck("everybody waits, and no timer is set")
            at_once += 1
            if at_once % _CALLS_IN_A_TICK == 0:
                # Work takes time. Without any, a wait that is shorter than what can be told apart would never end.
                self._now += _TICK
            if at_once > _MOST_AT_ONCE:
                raise Stuck(f"I9: time stands still: {_who(call)}")
            if not call.cancelled_:
                try:
                    call.context.run(call.callback, *call.args)
                except Exception as exc:  # noqa: BLE001 - told by whoever runs the loop
                    self.failures.append(exc)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        """Call something next."""
        call = _Call(callback, args, context)
        self._ready.append(call)
        return call

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        """Call something after a while."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        """Call something at a moment."""
        call = _Call(callback, args, context)
        call.when_ = when
        self._number += 1
        heappush(self._timers, (when, self._number, call))
        return call

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        """Begin a task."""
        return asyncio.Task(coro, loop=self, **options)

    def run_in_executor(self, executor: Any, func: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:  # type: ignore[override]
        """Do at once what would be done in a thread: no time passes meanwhile. Others have a turn first."""
        found = self.create_future()
        try:
            result = func(*args)
        except Exception as exc:  # noqa: BLE001 - raised where it is awaited
            self.call_soon(_unless_done, found, found.set_exception, exc)
        else:
            self.call_soon(_unless_done, found, found.set_result, result)
        return found

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody caught."""
        self.failures.append(context.get("exception") or AssertionError(str(context)))

    def get_debug(self) -> bool:
        """Return that nothing is to be looked at more closely."""
        return False

    def is_running(self) -> bool:
        """Return that it runs."""
        return True

    def is_closed(self) -> bool:
        """Return that it can be used."""
        return False


def _who(call: _Call) -> str:
    """Return what a call is about, with every coroutine that waits for another one."""
    task = getattr(call.callback, "__self__", None)
    if not isinstance(task, asyncio.Task):
        return f"{call.callback} {call.args}"
    names, coroutine = [], task.get_coro()
    while frame := getattr(coroutine, "cr_frame", None):
        names.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        coroutine = coroutine.cr_await  # type: ignore[union-attr]
    return " > ".join(names)


def _unless_done(future: asyncio.Future[Any], settle: Callable[[Any], None], outcome: Any) -> None:
    if not future.done():
        settle(outcome)


class _AtOnce:
    """Stands for `threading.Thread` where the SDK does what may block: here it is done at once."""

    def __init__(self, *, target: Callable[[], None], name: str, daemon: bool) -> None:
        self._target = target

    def start(self) -> None:
        self._target()

    def join(self, timeout: float | None = None) -> None:
        return


class _Threads:
    Thread = _AtOnce


@contextmanager
def virtual_time(seed: int) -> Iterator[VirtualLoop]:
    """Let everything in here go by the time of the loop, and by chance that the seed decides."""
    loop = VirtualLoop()  # type: ignore[abstract]
    clocks = {
        "monotonic": loop.time,
        "time": lambda: loop.time() + loop.slept + loop.wall,
        "time_ns": lambda: round((loop.time() + loop.slept + loop.wall) * 1e9),
        "clock_gettime": lambda _clock: loop.time() + loop.slept,
    }
    before = {name: getattr(time, name) for name in clocks}
    state, module = random.getstate(), vars(daemons)
    threads = module["threading"]
    # Assigned, and not patched with the library for mocks, which takes longer than many a schedule.
    for name, clock in clocks.items():
        setattr(time, name, clock)
    module["threading"] = _Threads
    random.seed(seed)
    try:
        yield loop
    finally:
        random.setstate(state)
        module["threading"] = threads
        for name, clock in before.items():
            setattr(time, name, clock)
