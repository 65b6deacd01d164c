"""The log that all servers share, and everything that it ever was: what clients may hold, and since when it is old."""

from __future__ import annotations

import random
from collections.abc import Callable

from msgspec.structs import replace

from flagent.core.changes import Change, Cursor, EventType, FlagRef, Snapshot
from flagent.core.ids import Ids
from flagent.core.model import Distribution, Flag, Segment, Variant
from flagent.server.storage import Stored

#: Flags at most; few, so that the same ones change again and again.
_MOST_FLAGS = 8


class Log:
    """Changes in order, as a database has them.

    Args:
        clock: tells when something is committed.

    Attributes:
        snapshot: the newest state.
        snapshots: every state that was ever committed, by cursor.
        outdated_at: when each of them was followed by another one.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._epochs = 0
        self._ids = Ids()
        self._changes: list[Change] = []
        self._gone: list[tuple[int, FlagRef]] = []
        self._gone_since = 0
        self._watchers: list[Callable[[], None]] = []
        self.snapshots: dict[Cursor, Snapshot] = {}
        self.outdated_at: dict[Cursor, float] = {}
        self.snapshot = Snapshot.of(self._epoch(), 0, ())
        self._remember()

    def _epoch(self) -> str:
        self._epochs += 1
        return f"epoch{self._epochs}"

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` after each commit."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Call it no more."""
        self._watchers.remove(watcher)

    def stored(self) -> Stored:
        """Return what a server starts from."""
        return Stored(self.snapshot, self._ids, tuple(self._gone), self._gone_since)

    def after(self, cursor: Cursor) -> list[Change] | None:
        """Return the changes that follow a cursor, or None when they can't be had."""
        if cursor.epoch != self.snapshot.epoch:
            return None
        missed = self.snapshot.revision - cursor.revision
        if missed > len(self._changes):
            return None
        return self._changes[len(self._changes) - missed :] if missed else []

    def edit(self, chance: random.Random) -> None:
        """Commit a change of some flag."""
        change = self._some_change(chance, self.snapshot.revision + 1)
        following = self.snapshot.after(change, verify=False)
        change = replace(change, digest=following.digest)
        before = self.snapshot.by_id(change.flag_id)
        if before is not None and (change.flag is None or change.flag.key != before.key):
            self._gone.append((change.revision, FlagRef(before.id, before.key)))
        self._changes.append(change)
        self._ids = self._ids.after((change,))
        self._follow(following)

    def truncate(self) -> None:
        """Forget all changes and deletions, but not the state."""
        self._changes.clear()
        self._gone.clear()
        self._gone_since = self.snapshot.revision

    def restore(self, chance: random.Random) -> None:
        """Go back to some earlier state of this epoch, as an operator does with a backup: it is another log then."""
        earlier = [each for cursor, each in self.snapshots.items() if cursor.epoch == self.snapshot.epoch]
        backup = chance.choice(earlier)
        self.truncate()
        self._follow(replace(backup, epoch=self._epoch()))
        self._gone_since = backup.revision

    def _some_change(self, chance: random.Random, revision: int) -> Change:
        flags = sorted(self.snapshot.flags.values(), key=lambda flag: flag.id)
        kind = chance.choice(["create", "toggle", "rename", "roll out", "delete"])
        if not flags or (kind == "create" and len(flags) < _MOST_FLAGS):
            number = self._ids.flag + 1
            flag = _flag(number, f"flag{number}", chance, revision)
            return Change(revision, EventType.FLAG_CREATED, number, flag.key, flag)
        old = chance.choice(flags)
        if kind == "delete":
            return Change(revision, EventType.FLAG_DELETED, old.id, old.key, None)
        if kind == "rename":
            new = replace(old, key=f"flag{old.id}.{revision}", revision=revision)
            return Change(revision, EventType.FLAG_UPDATED, old.id, new.key, new, previous_key=old.key)
        if kind == "toggle":
            new = replace(old, enabled=not old.enabled, revision=revision)
            return Change(revision, EventType.FLAG_TOGGLED, old.id, old.key, new)
        new = replace(_flag(old.id, old.key, chance, revision), enabled=old.enabled)
        return Change(revision, EventType.SEGMENT_UPDATED, old.id, old.key, new)

    def _follow(self, snapshot: Snapshot) -> None:
        self.outdated_at[self.snapshot.cursor] = self._clock()
        self.snapshot = snapshot
        self._remember()
        for watcher in list(self._watchers):
            watcher()

    def _remember(self) -> None:
        self.snapshots[self.snapshot.cursor] = self.snapshot


def _flag(number: int, key: str, chance: random.Random, revision: int) -> Flag:
    shares = (Distribution(1, 100, "on", 1, 1),)
    segment = Segment(1, rollout_percent=chance.randint(0, 100), flag_id=number, distributions=shares)
    return Flag(
        id=number,
        key=key,
        description="x" * chance.choice((0, 10, 400)),
        enabled=True,
        segments=(segment,),
        variants=(Variant(1, "on", number),),
        revision=revision,
    )
