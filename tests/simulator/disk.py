"""What a client keeps from one start to the next; it may fail, lose what was written, or give back less than that."""

from __future__ import annotations

import time

from flagent.client.disk import Cached
from flagent.core.changes import Snapshot


class Disk:
    """Stands for `client.disk.DiskCache`.

    Attributes:
        fails: writing fails, as on a full disk.
        loses: what is written is gone after the next start, as after a power cut.
    """

    def __init__(self) -> None:
        self.fails = False
        self.loses = False
        self._kept: list[tuple[Snapshot, str | None, float]] = []

    def load(self) -> Cached | None:
        """Return what was kept."""
        if not self._kept:
            return None
        snapshot, tag, saved_at = self._kept[-1]
        return Cached(snapshot, tag, max(0.0, time.monotonic() - saved_at))

    def save(self, snapshot: Snapshot, tag: str | None, age: float = 0.0) -> None:
        """Keep a snapshot, which was current `age` seconds ago."""
        if self.fails:
            raise OSError(28, "No space left on device")
        held = self._kept[-1][0].cursor if self._kept else None
        if held is not None and held.epoch == snapshot.epoch and held.revision >= snapshot.revision:
            return
        if self.loses and self._kept:
            return
        self._kept.append((snapshot, tag, time.monotonic() - age))

    def damage(self) -> None:
        """Lose the newest of what was kept; the one before is still there."""
        if self._kept:
            self._kept.pop()
