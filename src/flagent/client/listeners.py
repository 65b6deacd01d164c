"""Telling others what changed: off the path of updates, bounded, and whatever a listener does.

Updates only leave a note: the ruleset before, and which keys may differ. Whoever runs the listeners takes the
note when it has time for it, so that a slow listener gets the net change of everything meanwhile, and nobody waits
for it. What is kept is one old ruleset, however long it takes.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..core.evaluation import EvalResult, Ruleset
from ..core.model import Flag

_log = logging.getLogger("flagent.client")

#: Calls that wait; when there are more, the oldest is given up.
_MOST_POSTED = 100


@dataclass(frozen=True, slots=True)
class FlagChange:
    """A flag that is another one now.

    Attributes:
        flag_key: its key; a flag that was renamed has left one and come under another.
        old: the flag before; None when there was none.
        new: the flag now; None when it is gone.
    """

    flag_key: str
    old: Flag | None
    new: Flag | None


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A flag that gives an entity something else now.

    Attributes:
        flag_key: its key.
        old: what it gave before.
        new: what it gives now.
    """

    flag_key: str
    old: EvalResult
    new: EvalResult


class Listener(Protocol):
    """Gets the net change between two rulesets."""

    def __call__(self, before: Ruleset, after: Ruleset, changes: list[FlagChange], /) -> Any:
        """Take it; what is returned may be awaitable where the listeners run on an event loop."""


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
        while (taken := self._take()) is not None:
            before, after, keys = taken
            changes = list(differences(before, after, keys))
            for listener in self._listeners if changes else ():
                yield _Call(listener, before, after, changes)

    def failed(self, call: Callable[[], Any]) -> None:
        """Note that a listener raised; called in the handler of its exception."""
        self.failures += 1
        _log.exception("%r failed; flags are kept fresh all the same", call)

    def _take(self) -> tuple[Ruleset, Ruleset, Collection[str] | None] | None:
        with self._lock:
            before, after, keys = self._before, self._after, self._keys
            self._before = self._after = None
            self._keys = set()
        return None if before is None or after is None else (before, after, keys)


@dataclass(frozen=True, slots=True)
class _Call:
    listener: Listener
    before: Ruleset
    after: Ruleset
    changes: list[FlagChange]

    def __call__(self) -> Any:
        return self.listener(self.before, self.after, self.changes)

    def __repr__(self) -> str:
        return f"the listener {self.listener!r}"


def differences(before: Ruleset, after: Ruleset, keys: Collection[str] | None) -> Iterator[FlagChange]:
    """Yield what is different, by key; of these keys only, unless they are None."""
    old, new = before.snapshot.flags, after.snapshot.flags
    for key in sorted(old.keys() | new.keys() if keys is None else keys):
        was, now = old.get(key), new.get(key)
        if was is not now and was != now:
            yield FlagChange(key, was, now)


class OnChange:
    """Calls back for every flag, or for one of them."""

    def __init__(self, callback: Callable[[FlagChange], Any], flag_key: str | None = None) -> None:
        self._callback = callback
        self._flag_key = flag_key

    def __call__(self, _before: Ruleset, _after: Ruleset, changes: list[FlagChange]) -> Any:
        """Take the net change."""
        wanted = [change for change in changes if self._flag_key in (None, change.flag_key)]
        return each_of(self._callback, wanted)

    def __repr__(self) -> str:
        return repr(self._callback)


class OnValueChange:
    """Calls back when a flag gives an entity something else."""

    def __init__(
        self,
        callback: Callable[[ValueChange], Any],
        flag_key: str,
        entity_id: str,
        entity_context: Mapping[str, Any] | None,
    ) -> None:
        self._callback = callback
        self._flag_key = flag_key
        self._entity_id = entity_id
        self._entity_context = entity_context

    def __call__(self, before: Ruleset, after: Ruleset, changes: list[FlagChange]) -> Any:
        """Take the net change."""
        if all(change.flag_key != self._flag_key for change in changes):
            return None
        old = before.evaluate(self._flag_key, self._entity_id, self._entity_context)
        new = after.evaluate(self._flag_key, self._entity_id, self._entity_context)
        if (old.variant_key, old.variant_attachment) == (new.variant_key, new.variant_attachment):
            return None
        return self._callback(ValueChange(self._flag_key, old, new))

    def __repr__(self) -> str:
        return repr(self._callback)


def each_of(callback: Callable[[FlagChange], Any], changes: list[FlagChange]) -> Any:
    """Call back for each change; one that fails keeps none of the others from being told."""
    awaitables, failures = [], []
    for change in changes:
        try:
            returned = callback(change)
        except Exception as exc:  # noqa: BLE001 - raised below
            failures.append(exc)
        else:
            if hasattr(returned, "__await__"):
                awaitables.append(returned)
    if failures:
        # The first says enough; the count of changes that failed is in its note.
        failures[0].add_note(f"flagent: the callback failed for {len(failures)} of {len(changes)} changes")
    return _all(awaitables, failures)


def _all(awaitables: list[Any], failures: list[Exception]) -> Any:
    if not awaitables:
        if failures:
            raise failures[0]
        return None

    async def wait() -> None:
        for each in awaitables:
            try:
                await each
            except Exception as exc:  # noqa: BLE001 - raised below
                failures.append(exc)
        if failures:
            raise failures[0]

    return wait()
