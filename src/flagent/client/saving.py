"""Keeping the copy on disk close to what is held: soon after a change, but not for each of a burst."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path

from ..core.evaluation import Ruleset
from ..errors import DecodeError
from .api_keys import name_of
from .config import ClientSettings, OfflineConfig
from .daemons import in_daemon_thread
from .disk import DiskCache, default_folder
from .replica import Replica
from .targets import Target

_log = logging.getLogger("flagent.client")

#: Seconds that changes are gathered before they are written, and after a failure before it is tried again.
_GATHER, _RETRY = 1.0, 60.0
_THREAD = "flagent disk"


def saver_of(target: Target, config: OfflineConfig, replica: Replica) -> Saver | None:
    """Return what keeps the flags of a server on disk; None where they are not to be kept."""
    if not config.enable_persistence or not isinstance(target, ClientSettings):
        return None
    folder = default_folder() if config.storage_dir is None else Path(config.storage_dir)
    # Each filter has a file of its own.
    owner = name_of(target.api_key) + ("" if config.filter is None else f"\n{config.filter.name}")
    return Saver(DiskCache(folder, target.root, owner, config.max_snapshot_bytes), replica)


class Saver:
    """Writes what a replica holds.

    Args:
        disk: where to.
        replica: what is held.

    Attributes:
        error: why the last try failed; None when it did not.
    """

    def __init__(self, disk: DiskCache, replica: Replica) -> None:
        self.error: str | None = None
        self._disk = disk
        self._replica = replica
        self._saved: Ruleset | None = None
        self._news = asyncio.Event()
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Hold what is on disk, if nothing is held and there is something."""
        cached = await in_daemon_thread(_THREAD, self._disk.load)
        if cached is None or self._replica.ruleset is not None:
            return
        snapshot = cached.snapshot
        self._saved = Ruleset.compile(snapshot)
        self._replica.restore(self._saved, cached.tag, cached.age)
        _log.info("%d flags of %s from disk, %.0f s old", len(snapshot.flags), snapshot.cursor, cached.age)

    def updated(self) -> None:
        """Note that there may be something to save; on the event loop."""
        self._news.set()

    async def run(self) -> None:
        """Save what is new, until cancelled."""
        # Also what an earlier run had taken up when it failed as it never should.
        self._news.set()
        while True:
            await self._news.wait()
            await asyncio.sleep(_GATHER if self.error is None else _RETRY)
            self._news.clear()
            await self.save()
            if self.error is not None:
                # Tried again, although nothing else may change.
                self._news.set()

    async def save(self) -> None:
        """Save what is held, unless it is saved already, or is not all of one revision."""
        # Who is cancelled here leaves the file to be finished; who comes next waits for it.
        await asyncio.shield(asyncio.ensure_future(self._save()))

    async def _save(self) -> None:
        async with self._lock:
            await self._write()

    async def _write(self) -> None:
        ruleset = self._replica.ruleset
        if ruleset is None or ruleset is self._saved or self._replica.cursor is None:
            return
        tag, age = self._replica.entity_tag, self._replica.age() or 0.0
        try:
            await in_daemon_thread(_THREAD, partial(self._disk.save, ruleset.snapshot, tag, age))
        except (OSError, DecodeError) as exc:
            if self.error is None:
                _log.warning("the flags can't be kept on disk: %s", exc)
            self.error = str(exc)
        else:
            self.error = None
            self._saved = ruleset
