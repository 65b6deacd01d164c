"""Answers that are kept for a while. Pure: the clock is an argument.

A cache holds the answers used last, up to a number. Each is fresh for a time, and after it stale for another,
in which it may still stand in for an answer that can't be had.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

_V = TypeVar("_V")


class Entry(NamedTuple, Generic[_V]):
    """What is kept of one answer.

    Attributes:
        value: the answer.
        asked_at: moment, on the cache's clock, at which it was asked for.
    """

    value: _V
    asked_at: float


class ResultCache(Generic[_V]):
    """Keeps the answers that were used last. Every method may be called from any thread, and none waits for I/O.

    Args:
        ttl: seconds for which an answer is fresh.
        stale_for: seconds after that for which it is stale, before it counts as lost.
        max_entries: how many answers are kept at most; 0 keeps none.
        clock: returns seconds that only grow.

    Attributes:
        hits: how often a fresh answer was found.
    """

    def __init__(self, *, ttl: float, stale_for: float, max_entries: int, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._kept_for = ttl + stale_for
        self._max_entries = max_entries
        self._clock = clock
        self._entries: OrderedDict[Hashable, Entry[_V]] = OrderedDict()
        self.hits = 0
        self.after_fork()

    def after_fork(self) -> None:
        """Take a new lock in a forked child: a thread of the parent may have held the old one."""
        # Guards the entries, their order, and the count. Reentrant, because a signal handler may evaluate.
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._entries)

    def fresh(self, key: Hashable) -> _V | None:
        """Return the answer of that name when it is fresh, and count the hit."""
        now = self._clock()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or now - entry.asked_at >= self._ttl:
                return None
            self._entries.move_to_end(key)
            self.hits += 1
            return entry.value

    def kept(self, key: Hashable) -> _V | None:
        """Return the answer of that name when it is fresh or stale; one that is older is forgotten."""
        now = self._clock()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if now - entry.asked_at >= self._kept_for:
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return entry.value

    def put(self, key: Hashable, value: _V, asked_at: float) -> None:
        """Keep an answer, unless a newer one is kept already; the one not used for longest makes room.

        Args:
            key: its name.
            value: the answer.
            asked_at: when it was asked for, on the cache's clock: it may have changed at any time since then.
        """
        with self._lock:
            held = self._entries.get(key)
            if held is not None and held.asked_at > asked_at:
                return
            self._entries[key] = Entry(value, asked_at)
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget all answers."""
        with self._lock:
            self._entries.clear()
