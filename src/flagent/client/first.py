"""Loading the first snapshot: a server that is starting, or has too much to do, is asked again for a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from ..errors import FlagentError, HTTPStatusError, Refused, TransportError
from .daemons import in_daemon_thread
from .refresh import Refresher
from .replica import Replica

_log = logging.getLogger("flagent.client")

#: Seconds before the second try; doubled with each failure, up to the limit.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
#: Statuses below 500 that a second try may get past.
_TEMPORARY = frozenset({408, 425, 429})


async def load_within(refresher: Refresher, timeout: float, *, force: bool, name: str) -> None:
    """Load a snapshot, within `timeout` seconds.

    Raises:
        FlagentError: there is none, for this reason.
    """
    try:
        async with asyncio.timeout(timeout):
            await _load(refresher, force=force)
    except TimeoutError:
        raise refresher.last_error or TransportError(
            f"no snapshot from {name} within {timeout:g} s", kind="timeout"
        ) from None


async def _load(refresher: Refresher, *, force: bool) -> None:
    pause = _FIRST_PAUSE
    while True:
        try:
            await refresher.refresh(force=force)
            return
        except HTTPStatusError as exc:
            # Refusals stay; others may soon be over.
            if isinstance(exc, Refused) or (exc.status < 500 and exc.status not in _TEMPORARY):
                raise
            _log.info("no snapshot yet: %s; trying again", exc)
            retry_after = exc.retry_after or 0.0
        await asyncio.sleep(max(pause, retry_after))
        pause = min(2 * pause, _LONGEST_PAUSE)


async def prewarm(load: Callable[[], Awaitable[object]], replica: Replica) -> None:
    """Load a snapshot, and compile its flags, which is otherwise done when each is first evaluated."""
    with suppress(FlagentError):
        # Whoever waits for it is told; the poller has logged it, and goes on trying.
        await load()
    if replica.ruleset is not None:
        await in_daemon_thread("flagent warming", partial(replica.ruleset.evaluate_all, ""))
