"""Loading the first snapshot: a server that is starting, or has too much to do, is asked again for a while."""

from __future__ import annotations

import asyncio
import logging

from ..errors import HTTPStatusError, Refused, TransportError
from .refresh import Refresher

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
