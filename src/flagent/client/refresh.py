"""Fetching the snapshot: one request at a time, shared by all who wait for one, conditional where that is enough."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from functools import partial

from ..core.evaluation import Ruleset
from ..errors import FlagentError, HTTPStatusError, Refused, TransportError
from ..wire.backoff import SLOW_STATUSES
from ..wire.codec import decode_snapshot
from .address import EXPORT_PATH
from .answers import failure
from .config import OfflineConfig
from .daemons import in_daemon_thread
from .replica import Replica
from .status import Source
from .transport import Transport

_log = logging.getLogger("flagent.client")

#: Bodies of this size are decoded in another thread: it takes longer than an event loop may be blocked.
_LARGE = 1 << 16


class Refresher:
    """Brings a replica up to date by GET.

    Attributes:
        last_error: what went wrong with the last try; None when it succeeded, or before the first.
        tried_at: when the last try ended, on the monotonic clock; infinitely long ago before the first.
    """

    def __init__(
        self, transport: Transport, replica: Replica, config: OfflineConfig, ended: Callable[[], object]
    ) -> None:
        self.last_error: FlagentError | None = None
        self.tried_at = -math.inf
        self._transport = transport
        self._replica = replica
        self._config = config
        self._tell = ended
        self._lock = asyncio.Lock()
        self._begun = 0
        self._completed = 0

    async def refresh(self, *, force: bool = False) -> None:
        """Return when a snapshot is held that the server had after this call.

        Whoever calls while a request is under way shares the next one with all others who do.

        Args:
            force: whether to download it even if the server says that nothing changed.

        Raises:
            TransportError: no answer came.
            HTTPStatusError: the server refused, or can't serve now.
            DecodeError: the answer is no snapshot.
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

    def _ended(self, error: FlagentError | None) -> None:
        self.last_error = error
        self.tried_at = time.monotonic()
        self._completed = self._begun
        self._tell()

    async def _fetch(self, force: bool) -> None:
        held, tag = self._replica.ruleset, None if force else self._replica.entity_tag
        answer = await self._transport.request(
            "GET",
            EXPORT_PATH,
            query=(("view", "full"),),
            # Polls are minutes apart: an idle connection between them would be of no use.
            headers={"Connection": "close"} | ({} if tag is None else {"If-None-Match": tag}),
            timeout=self._config.request_timeout,
            max_bytes=self._config.max_snapshot_bytes,
        )
        if answer.status == 304 and tag is not None:
            self._replica.confirm(Source.POLL)
            _log.debug("the snapshot is current: %s", tag)
            return
        if answer.status != 200:
            kind = Refused if answer.status in SLOW_STATUSES else HTTPStatusError
            raise failure(f"GET {self._transport.settings.root}{EXPORT_PATH}", answer, kind)
        load = _load if len(answer.body) < _LARGE else _load_elsewhere
        ruleset = await load(answer.body, held)
        snapshot = ruleset.snapshot
        if not self._replica.replace(ruleset, answer.headers.get("etag")):
            # Held meanwhile, from the stream: then the snapshot is merely late.
            if (
                held is not None
                and snapshot.epoch == held.snapshot.epoch
                and snapshot.revision < held.snapshot.revision
            ):
                raise TransportError(
                    f"the server is behind: its snapshot {snapshot.cursor} is older than {held.snapshot.cursor}, "
                    "which is held already",
                    kind="protocol",
                )
            return
        _log.debug("snapshot %s with %d flags, %d bytes", snapshot.cursor, len(snapshot.flags), len(answer.body))


async def _load(body: bytes, held: Ruleset | None) -> Ruleset:
    return _loaded(body, held)


async def _load_elsewhere(body: bytes, held: Ruleset | None) -> Ruleset:
    return await in_daemon_thread("flagent snapshot", partial(_loaded, body, held))


def _loaded(body: bytes, held: Ruleset | None) -> Ruleset:
    snapshot = decode_snapshot(body)
    return Ruleset.compile(snapshot) if held is None else held.replaced(snapshot)
