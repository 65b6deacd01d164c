"""The tail of the log: whatever was committed, by this process or another, reaches the hub from here only."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Never

from ...core.changes import Change
from ...errors import StorageUnavailable
from .storage import Storage

_log = logging.getLogger("flagent.tail")

_FIRST_DELAY = 0.1
_MAX_DELAY = 5.0


async def follow(storage: Storage, after: int, deliver: Callable[[Sequence[Change]], None]) -> Never:
    """Call `deliver` with all changes after the revision `after`, in order, for ever.

    While the database does not answer, it tries again with growing delays. What `deliver` raises
    ends it: then the holder's state is wrong, and has to be loaded anew.
    """
    failures = 0
    while True:
        try:
            after = await _next(storage, after, deliver)
        except StorageUnavailable as exc:
            failures += 1
            delay = min(_MAX_DELAY, _FIRST_DELAY * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
            level = logging.WARNING if failures == 1 else logging.DEBUG
            _log.log(level, "can't read the log after revision %d, next try in %.1f s: %s", after, delay, exc)
            await asyncio.sleep(delay)
        else:
            if failures:
                _log.info("the log can be read again, at revision %d", after)
            failures = 0


async def _next(storage: Storage, after: int, deliver: Callable[[Sequence[Change]], None]) -> int:
    # Cleared before looking: a commit that comes between looking and waiting sets it again.
    storage.wake.clear()
    changes = [] if storage.is_newest(after) else await storage.changes_after(after)
    if not changes:
        await storage.news()
        return after
    deliver(changes)
    return changes[-1].revision
