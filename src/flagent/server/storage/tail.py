"""The tail of the log: whatever was committed, by this process or another, reaches the hub from here only."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Never

from ...core.changes import Change
from ...errors import StorageUnavailable
from .storage import PAGE, Storage

_log = logging.getLogger("flagent.tail")

_FIRST_DELAY = 0.1
_MAX_DELAY = 5.0


async def follow(storage: Storage, after: int, deliver: Callable[[Sequence[Change]], None]) -> Never:
    """Call `deliver` with all changes after the revision `after`, in order, for ever.

    While the database does not answer, it tries again with growing delays. What `deliver` raises
    ends it: then the holder's state is wrong, and has to be loaded anew.
    """
    tail, failures = _Tail(storage, after, deliver), 0
    storage.noted = tail.take_own
    try:
        while True:
            try:
                await tail.go_on()
            except StorageUnavailable as exc:
                failures += 1
                delay = min(_MAX_DELAY, _FIRST_DELAY * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
                level = logging.WARNING if failures == 1 else logging.DEBUG
                _log.log(level, "can't read the log after revision %d, next try in %.1f s: %s", tail.after, delay, exc)
                await asyncio.sleep(delay)
            else:
                if failures:
                    _log.info("the log can be read again, at revision %d", tail.after)
                failures = 0
    finally:
        storage.noted = _nobody


class _Tail:
    """Follows the log, up to the revision `after` by now."""

    def __init__(self, storage: Storage, after: int, deliver: Callable[[Sequence[Change]], None]) -> None:
        self.after = after
        self._storage = storage
        self._deliver = deliver
        self._error: Exception | None = None

    def take_own(self) -> bool:
        """Deliver what this process has just committed, in the call that brings it; return whether that is all."""
        changes = self._storage.written.after(self.after)
        if not 0 < len(changes) <= PAGE or self._error is not None:
            return False
        try:
            self._hand_on(changes)
        except Exception as exc:  # noqa: BLE001 - it is raised in the task, whose end it is
            self._error = exc
            return False
        return True

    async def go_on(self) -> None:
        """Deliver what is new, or wait until something may be."""
        if self._error is not None:
            raise self._error
        # Cleared before looking: a commit that comes between looking and waiting sets it again.
        self._storage.wake.clear()
        newest = self._storage.written.is_newest(self.after)
        changes = [] if newest else await self._storage.changes_after(self.after)
        if changes:
            self._hand_on(changes)
        else:
            await self._storage.news()

    def _hand_on(self, changes: Sequence[Change]) -> None:
        self._deliver(changes)
        # What was read from the database may have been overtaken by what was written here meanwhile.
        self.after = max(self.after, changes[-1].revision)


def _nobody() -> bool:
    """Take nothing."""
    return False
