"""Fetching the snapshot: one request at a time, shared by all who wait for one, conditional where that is enough."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable

from ..core.evaluation import Ruleset
from ..errors import Closed, FlagentError, TransportError
from .origins import Fetched, Origin
from .replica import Replica
from .states import Source

_log = logging.getLogger("flagent.client")


class Refresher:
    """Brings a replica up to date with whole snapshots.

    Args:
        origin: where they come from.
        replica: what is kept.
        ended: called after each try.

    Attributes:
        last_error: what went wrong with the last try; None when it succeeded, or before the first.
        tried_at: when the last try ended, on the monotonic clock; infinitely long ago before the first.
    """

    def __init__(self, origin: Origin, replica: Replica, ended: Callable[[], object]) -> None:
        self.last_error: FlagentError | None = None
        self.tried_at = -math.inf
        self._origin = origin
        self._replica = replica
        self._tell = ended
        self._lock = asyncio.Lock()
        self._begun = 0
        self._completed = 0
        self._fetching: asyncio.Task[Fetched | None] | None = None
        self._stopped = False

    async def stop(self) -> None:
        """End the request that is under way, and make no other: whoever waits for one is told that this is closed."""
        self._stopped = True
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    async def refresh(self, *, force: bool = False) -> None:
        """Return when a snapshot is held that the server had after this call.

        Whoever calls while a request is under way shares the next one with all others who do.

        Args:
            force: whether to download it even if the server says that nothing changed.

        Raises:
            TransportError: no answer came.
            HTTPStatusError: the server refused, or can't serve now.
            DecodeError: the answer is no snapshot.
            Closed: it was stopped.
        """
        begun_before = self._begun
        async with self._lock:
            if self._completed <= begun_before or force:
                await self._try(force)
            elif self.last_error is not None:
                raise self.last_error

    async def _try(self, force: bool) -> None:
        self._begun += 1
        try:
            await self._fetch(force)
        except FlagentError as exc:
            self._ended(exc)
            raise
        # A try that was cancelled gets here not, and says nothing to others.
        self._ended(None)

    async def _fetched(self, held: Ruleset | None, tag: str | None) -> Fetched | None:
        if self._stopped:
            raise Closed("the manager is closed")
        # A task, so that it can be ended although it is somebody else who waits for it.
        self._fetching = fetching = asyncio.ensure_future(self._origin.fetch(held, tag))
        try:
            return await fetching
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._stopped and current is not None and not current.cancelling():
                raise Closed("the manager was closed meanwhile") from None
            raise
        finally:
            self._fetching = None

    def _ended(self, error: FlagentError | None) -> None:
        self.last_error = error
        self.tried_at = time.monotonic()
        self._completed = self._begun
        self._tell()

    async def _fetch(self, force: bool) -> None:
        held, tag = self._replica.ruleset, None if force else self._replica.entity_tag
        # What comes slowly is true of the moment at which it was asked for, or a later one, and nobody knows which.
        asked_at = self._replica.now()
        fetched = await self._fetched(held, tag)
        if fetched is None:
            self._replica.confirm(Source.POLL, age=self._replica.now() - asked_at)
            _log.debug("the snapshot is current: %s", tag)
            return
        snapshot = fetched.ruleset.snapshot
        age = fetched.age + self._replica.now() - asked_at
        if self._replica.replace(fetched.ruleset, fetched.tag, age=age):
            _log.debug("snapshot %s with %d flags", snapshot.cursor, len(snapshot.flags))
        # Held meanwhile, from the stream: then the snapshot is merely late.
        elif held is not None and snapshot.epoch == held.snapshot.epoch and snapshot.revision < held.snapshot.revision:
            raise TransportError(
                f"the server is behind: its snapshot {snapshot.cursor} is older than {held.snapshot.cursor}, "
                "which is held already",
                kind="protocol",
            )
