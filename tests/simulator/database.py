"""The database that all servers share: the log with everything that it ever was, and a server's view of it.

A view (`View`) has the calls of `server.storage.Storage`, in the same words and with the same exceptions. It may be
late, as the view of a replica is, or of a relay that follows another server's log; and it may be out of order.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from msgspec.structs import replace

from flagent.core import edits
from flagent.core.changes import Change, Cursor, FlagRef, Snapshot
from flagent.core.edits import Edit
from flagent.core.ids import Allocator, Ids
from flagent.core.model import Flag
from flagent.errors import Diverged, StorageUnavailable
from flagent.server.storage import Overtaken, Stored
from flagent.server.storage.log import Since
from flagent.server.storage.storage import PAGE
from flagent.server.storage.turn import Turn
from flagent.server.storage.written import Written

#: Seconds after which a server sees what another process has written.
_LOOK = 0.05


class Head(NamedTuple):
    """What is in the database after a commit.

    Attributes:
        at: when that was.
        snapshot: the flags.
        ids: the largest ids ever given out.
        rows: the log, as far as it has not been truncated.
    """

    at: float
    snapshot: Snapshot
    ids: Ids
    rows: tuple[Change, ...]

    def stored(self) -> Stored:
        """Return what a server starts from, as `storage.log.load` does."""
        gone = tuple(
            (row.revision, FlagRef(row.flag_id, row.previous_key or row.flag_key))
            for row in self.rows
            if row.flag is None or row.previous_key is not None
        )
        oldest = self.rows[0].revision if self.rows else self.snapshot.revision + 1
        return Stored(self.snapshot, self.ids, gone, oldest - 1)


class Database:
    """One log, by whoever writes it.

    Args:
        clock: tells when something is committed.

    Attributes:
        heads: every state that was ever committed, in order.
        snapshots: the same by their cursors.
        outdated_at: when each of them was followed by another one.
        lock: held by the writer whose turn it is.
        most_late: the most seconds after which a server has seen a commit.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._epochs = 1
        self._views: list[View] = []
        self.lock = asyncio.Lock()
        first = Snapshot.of("epoch001", 0, ())
        self.heads = [Head(clock(), first, Ids(), ())]
        self.snapshots = {first.cursor: first}
        self.outdated_at: dict[Cursor, float] = {}
        self.most_late = 0.0

    @property
    def head(self) -> Head:
        """What is there now."""
        return self.heads[-1]

    @property
    def snapshot(self) -> Snapshot:
        """The flags that are there now."""
        return self.head.snapshot

    def watch(self, view: View) -> None:
        """Let a view know of commits."""
        self._views.append(view)

    def unwatch(self, view: View) -> None:
        """Let it know no more."""
        self._views.remove(view)

    def append(self, epoch: str, changes: Sequence[Change], ids: Ids) -> None:
        """Commit changes.

        Raises:
            Overtaken: they do not follow.
        """
        before = self.head
        if before.snapshot.epoch != epoch or changes[0].revision != before.snapshot.revision + 1:
            raise Overtaken(f"revision {changes[0].revision - 1} is not the newest any more")
        snapshot = before.snapshot
        for change in changes:
            snapshot = snapshot.after(change)
            self.snapshots[snapshot.cursor] = snapshot
            self.outdated_at[snapshot.cursor] = self._clock()
        self._follow(Head(self._clock(), snapshot, ids, (*before.rows, *changes)))

    def edit(self, decide: Callable[[Snapshot, Allocator], Sequence[Edit]], now_ms: int) -> None:
        """Let another process commit an edit."""
        ids = Allocator(self.head.ids)
        changes, _ = edits.stamp(self.snapshot, decide(self.snapshot, ids), actor="another", now_ms=now_ms)
        if changes:
            self.append(self.snapshot.epoch, changes, ids.ids)

    def truncate(self) -> None:
        """Forget all changes but not the state, as an operator does who wants the space."""
        self._follow(self.head._replace(at=self._clock(), rows=()))

    def restore(self, chance: random.Random) -> None:
        """Go back to some earlier state of this epoch, as an operator does with a backup: it is another log then.

        Nobody backs up a log to which nothing was ever written, and clients would not believe it.
        """
        backups = [head for head in self.heads if head.snapshot.epoch == self.snapshot.epoch and head.snapshot.revision]
        if not backups:
            return
        backup = chance.choice(backups)
        self._epochs += 1
        snapshot = replace(backup.snapshot, epoch=f"epoch{self._epochs:03}")
        self.snapshots[snapshot.cursor] = snapshot
        self._follow(backup._replace(at=self._clock(), snapshot=snapshot))

    def _follow(self, head: Head) -> None:
        self.outdated_at.pop(head.snapshot.cursor, None)
        if head.snapshot is not self.snapshot:
            self.outdated_at[self.snapshot.cursor] = self._clock()
        self.heads.append(head)
        for view in list(self._views):
            view.notice()


class View:
    """Stands for `server.storage.Storage`: one server's connections to the database.

    Attributes:
        wake: set when there may be new changes to read.
        written: what its server wrote last.
        noted: called when that was committed; returns whether it was taken.
        lag: seconds by which it sees commits late.
        down: nothing can be read or written.
        epoch: the log that its server takes it for.
        committed: in which log it has written a flag at a revision.
    """

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop) -> None:
        self.wake = asyncio.Event()
        self.written = Written()
        self.noted: Callable[[], bool] = lambda: False
        self.epoch = ""
        self.committed: dict[tuple[int, int], str] = {}
        self.lag = 0.0
        self.down = False
        self._database = database
        self._loop = loop
        self._place = self._served = 0
        database.watch(self)
        # What was committed before it began it is not late with.
        self.head()
        self._served = self._place

    def close(self) -> None:
        """Look no more."""
        self._database.unwatch(self)

    def notice(self) -> None:
        """Hear that somebody has committed something."""
        self._loop.call_later(max(self.lag, _LOOK), self._look)

    def _look(self) -> None:
        self.written.told()
        self.wake.set()

    def head(self) -> Head:
        """Return what can be seen; it never goes back, whatever the lag is."""
        heads, visible = self._database.heads, self._loop.time() - self.lag
        while self._place + 1 < len(heads) and heads[self._place + 1].at <= visible:
            self._place += 1
        return heads[self._place]

    def _has_served(self) -> None:
        if self._served < self._place:
            late = self._loop.time() - self._database.heads[self._served + 1].at
            self._database.most_late = max(self._database.most_late, late)
            self._served = self._place

    async def load(self) -> Stored:
        """Return the newest state."""
        await self._answer()
        stored = self.head().stored()
        self._has_served()
        self.epoch = stored.snapshot.epoch
        self.written.forget()
        return stored

    async def append(self, changes: Sequence[Change], ids: Ids, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Commit changes, and wake the tail."""
        async with self._database.lock:
            self._loop.call_soon(meanwhile)
            await self._append(changes, ids)

    async def _append(self, changes: Sequence[Change], ids: Ids) -> None:
        await self._answer()
        self._database.append(self.epoch, changes, ids)
        self.committed.update({(change.flag_id, change.revision): self.epoch for change in changes})
        if not self.lag:
            self.written.note(changes)
        if self.noted():
            self.head()
            self._has_served()
        else:
            self.wake.set()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Keep other writers away."""
        async with self._database.lock:
            await self._answer()
            yield Turn(self._database.snapshot.revision, self._append)

    async def changes_after(self, revision: int, limit: int = PAGE) -> list[Change]:
        """Return the changes that follow a revision."""
        self.written.read()
        await self._answer()
        head = self.head()
        if head.snapshot.epoch != self.epoch or head.snapshot.revision < revision:
            raise Diverged(f"the log is at {head.snapshot.cursor}, not after {self.epoch}:{revision}")
        rows = [row for row in head.rows if row.revision > revision][:limit]
        if head.snapshot.revision > revision and (not rows or rows[0].revision != revision + 1):
            raise Diverged(f"the log does not reach back to {revision}")
        self._has_served()
        return rows

    async def since(self, at_ms: int) -> Since:
        """Return where the changes since a moment are: nobody asks."""
        raise StorageUnavailable(f"since {at_ms}")

    async def news(self) -> None:
        """Return when there may be new changes."""
        while not self.wake.is_set():
            if self.head() is self._database.head:
                await self.wake.wait()
            else:
                # It is late, and by more than it was when it was woken.
                await asyncio.sleep(max(self.lag, _LOOK))
                return

    async def deleted_flag(self, flag_id: int) -> Flag | None:
        """Return None: what is deleted here is deleted for good."""
        return None

    async def deleted_owners(self, keys: Sequence[str]) -> dict[str, int]:
        """Return nothing, for the same reason."""
        return {}

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise StorageUnavailable("the database does not answer")
