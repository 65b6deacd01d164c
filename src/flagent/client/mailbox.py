"""Changes that wait for somebody who iterates: the net change of each flag, so that there are never more than flags."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .callbacks import FlagChange
from .listeners import Registration

if TYPE_CHECKING:
    from ..core.evaluation import Ruleset


class _Pending:
    """The net change of each flag, in the order in which flags changed last."""

    def __init__(self) -> None:
        self._changes: dict[str, FlagChange] = {}

    def __bool__(self) -> bool:
        return bool(self._changes)

    def put(self, changes: list[FlagChange]) -> None:
        for change in changes:
            waiting = self._changes.pop(change.flag_key, None)
            old = change.old if waiting is None else waiting.old
            if old != change.new:
                self._changes[change.flag_key] = FlagChange(change.flag_key, old, change.new)

    def take(self) -> FlagChange:
        return self._changes.pop(next(iter(self._changes)))


class Changes(Iterator[FlagChange]):
    """Iterates over changes as they come; it ends when it, or its manager, is closed.

    Of a flag that changes several times before it is looked at, one net change is left.
    """

    def __init__(self) -> None:
        self._pending = _Pending()
        self._closed = False
        self._news = threading.Condition()
        #: How it listens; set by whoever adds it.
        self.registration: Registration | None = None

    def __call__(self, _before: Ruleset, _after: Ruleset, changes: list[FlagChange]) -> None:
        """Take the net change, as a listener."""
        with self._news:
            self._pending.put(changes)
            self._news.notify_all()

    def __next__(self) -> FlagChange:
        with self._news:
            while not self._pending:
                if self._closed:
                    raise StopIteration
                self._news.wait()
            return self._pending.take()

    def close(self) -> None:
        """End the iteration, after what waits already; from any thread."""
        if self.registration is not None:
            self.registration.remove()
        with self._news:
            self._closed = True
            self._news.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncChanges(AsyncIterator[FlagChange]):
    """Iterates over changes as they come, for asyncio; otherwise like `Changes`."""

    def __init__(self) -> None:
        self._pending = _Pending()
        self._closed = False
        # The two iterators are in one module; whoever is not on an event loop does without it.
        from asyncio import Event

        self._news = Event()
        #: How it listens; set by whoever adds it.
        self.registration: Registration | None = None

    def __call__(self, _before: Ruleset, _after: Ruleset, changes: list[FlagChange]) -> None:
        """Take the net change, as a listener."""
        self._pending.put(changes)
        self._news.set()

    async def __anext__(self) -> FlagChange:
        while not self._pending:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._pending.take()

    def close(self) -> None:
        """End the iteration, after what waits already."""
        if self.registration is not None:
            self.registration.remove()
        self._closed = True
        self._news.set()

    async def aclose(self) -> None:
        """End the iteration, as `contextlib.aclosing` does."""
        self.close()
