"""Telling others what changed: off the path of updates, bounded, and whatever a listener does.

Updates only leave a note: the ruleset before, and which keys may differ. Whoever runs the listeners takes the
note when it has time for it, so that a slow listener gets the net change of everything meanwhile, and nobody waits
for it. What is kept is one old ruleset, however long it takes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .logger import logger

if TYPE_CHECKING:
    from ..core.evaluation import Ruleset
    from .callbacks import FlagChange

#: Gets the net change between two rulesets, the one before and the one after. What it returns may be awaitable where
#: the listeners run on an event loop.
Listener = Callable[["Ruleset", "Ruleset", "list[FlagChange]"], Any]

#: Calls that wait; when there are more, the oldest is given up.
_MOST_POSTED = 100


class Registration:
    """A listener that was added; `remove` it when it is not needed any more."""

    def __init__(self, listeners: Listeners, listener: Listener) -> None:
        self._listeners = listeners
        self._listener = listener

    def remove(self) -> None:
        """Call the listener no more; more than once does no harm, and a call that has begun ends."""
        self._listeners.remove(self._listener)


class Listeners:
    """The listeners of one manager, and what they have not been told yet.

    Args:
        wake: called when there is something to tell; it must return at once.

    Attributes:
        failures: how many calls of listeners raised something.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self.failures = 0
        self._wake = wake
        self.begin_anew()
        self._listeners: tuple[Listener, ...] = ()

    def begin_anew(self) -> None:
        """Forget what a parent process had to tell; called in a forked child, where no other thread is."""
        self._lock = threading.Lock()
        self._before: Ruleset | None = None
        self._after: Ruleset | None = None
        self._keys: set[str] | None = set()
        self._posted: deque[Callable[[], Any]] = deque(maxlen=_MOST_POSTED)

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Listener) -> Registration:
        """Call `listener` with every change from now on."""
        with self._lock:
            self._listeners = (*self._listeners, listener)
        return Registration(self, listener)

    def remove(self, listener: Listener) -> None:
        """Call it no more."""
        with self._lock:
            self._listeners = tuple(each for each in self._listeners if each is not listener)

    def clear(self) -> None:
        """Call nobody any more."""
        with self._lock:
            self._listeners = ()

    def updated(self, before: Ruleset | None, after: Ruleset, keys: Iterable[str] | None) -> None:
        """Note that another ruleset is held now.

        Args:
            before: the one that was held; None for the first, which is no change.
            after: the one that is held.
            keys: flags that may differ; None when any may.
        """
        if not self._listeners or before is None:
            return
        with self._lock:
            if self._before is None:
                self._before, self._keys = before, set()
            self._after = after
            if keys is None:
                self._keys = None
            elif self._keys is not None:
                self._keys.update(keys)
        self._wake()

    def post(self, call: Callable[[], Any]) -> None:
        """Make a call where listeners are called."""
        self._posted.append(call)
        self._wake()

    def calls(self) -> Iterator[Callable[[], Any]]:
        """Yield what is to be called, until there is nothing more."""
        while self._posted:
            yield self._posted.popleft()
        # Loaded with whoever listens.
        from .callbacks import differences

        while (taken := self._take()) is not None:
            before, after, keys = taken
            changes = list(differences(before, after, keys))
            for listener in self._listeners if changes else ():
                yield _Call(listener, before, after, changes)

    def failed(self, call: Callable[[], Any]) -> None:
        """Note that a listener raised; called in the handler of its exception."""
        self.failures += 1
        logger().exception("%r failed; flags are kept fresh all the same", call)

    def _take(self) -> tuple[Ruleset, Ruleset, Collection[str] | None] | None:
        with self._lock:
            before, after, keys = self._before, self._after, self._keys
            self._before = self._after = None
            self._keys = set()
        return None if before is None or after is None else (before, after, keys)


class _Call:
    def __init__(self, listener: Listener, before: Ruleset, after: Ruleset, changes: list[FlagChange]) -> None:
        self._listener = listener
        self._told = (before, after, changes)

    def __call__(self) -> Any:
        return self._listener(*self._told)

    def __repr__(self) -> str:
        return f"the listener {self._listener!r}"
