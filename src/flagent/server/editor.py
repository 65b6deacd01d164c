"""The only way to change a flag: decide on the newest snapshot, append to the log, wait until readers have it.

Deciding is pure and may happen twice: when another process was first, the decision is taken anew on
the state that it left, and this time nobody else may write before it is made. An edit that changes
nothing writes nothing and wakes nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from ..core.changes import Change, Snapshot
from ..core.edits import Edit, stamp
from ..core.ids import Allocator, Ids
from ..core.model import Flag, Tag
from ..errors import InvalidFlag, StorageUnavailable
from .clocks import now_ms
from .hub import Hub
from .storage import Overtaken, Storage

_log = logging.getLogger("flagent.editor")

#: Seconds to wait for the edits before this one; the slowest of them waits for a locked database.
_TURN_TIMEOUT = 10.0
#: Seconds until the tail of the log should have delivered what was committed.
_DELIVERY_TIMEOUT = 5.0


class State(NamedTuple):
    """What an edit is decided on.

    Attributes:
        snapshot: the newest one.
        ids: where new ids come from.
        deleted: the deleted flag that was asked for, if it exists.
        tag: the tag of the value that was asked for, if it exists.
    """

    snapshot: Snapshot
    ids: Allocator
    deleted: Flag | None = None
    tag: Tag | None = None


Decide = Callable[[State], Sequence[Edit]]
Append = Callable[[Sequence[Change], Ids, Callable[[], object]], Awaitable[None]]


class _Wanted(NamedTuple):
    actor: str | None
    decide: Decide
    deleted: int | None
    tag: str | None


class Editor:
    """Applies edits one after the other.

    Attributes:
        delivered: awaited with the revision before an edit is acknowledged, when this process serves it.
    """

    def __init__(self, storage: Storage, hub: Hub, clock: Callable[[], int] = now_ms) -> None:
        self.delivered: Callable[[int], Awaitable[None]] = _nowhere
        self._storage = storage
        self._hub = hub
        self._clock = clock
        # Guards nothing but the order: without it this process' own edits would conflict with each other.
        self._turn = asyncio.Lock()

    async def edit(
        self, actor: str | None, decide: Decide, *, deleted: int | None = None, tag: str | None = None
    ) -> tuple[Flag, ...]:
        """Apply what `decide` returns, all or nothing; return the flags as the edits leave them, in their order.

        Args:
            actor: who edits, for the history.
            decide: pure; called again when another writer was first.
            deleted: id of a flag that `decide` wants to see although it is deleted.
            tag: value of a tag that `decide` wants to see although no flag may carry it.

        Raises:
            InvalidFlag: a key is taken already; besides whatever `decide` raises.
            StorageUnavailable: the database, or other writers, did not let us; nothing was written.
        """
        try:
            async with asyncio.timeout(_TURN_TIMEOUT):
                await self._turn.acquire()
        except TimeoutError:
            raise StorageUnavailable("too many edits are waiting, try again later") from None
        try:
            wanted = _Wanted(actor, decide, deleted, tag)
            try:
                # Nearly always there is no other writer, and then this is all there is to do.
                flags, revision = await self._apply(wanted, self._storage.append)
            except Overtaken:
                flags, revision = await self._apply_alone(wanted)
            await self._delivered(revision)
        finally:
            self._turn.release()
        await self.delivered(revision)
        return flags

    async def _apply_alone(self, wanted: _Wanted) -> tuple[tuple[Flag, ...], int]:
        async with self._storage.turn() as turn:
            try:
                await self._hub.reached(turn.revision, _DELIVERY_TIMEOUT)
            except TimeoutError:
                raise StorageUnavailable(f"revision {turn.revision} can't be read yet, try again later") from None
            try:
                # The commit, which is the time for what there is to do meanwhile, comes with the turn's end only.
                return await self._apply(wanted, lambda changes, ids, _: turn.append(changes, ids))
            except Overtaken:
                # Nobody else can write now: the log is not the one that this process knows.
                raise StorageUnavailable("the database was restored from a backup, try again later") from None

    async def _apply(self, wanted: _Wanted, append: Append) -> tuple[tuple[Flag, ...], int]:
        """Decide and append; return the flags as they are then, and the revision."""
        actor, decide, deleted, tag = wanted
        # What is read here belongs to the snapshot: if it were newer, appending would fail.
        deleted_flag = None if deleted is None else await self._storage.deleted_flag(deleted)
        known_tag = None if tag is None else await self._storage.tag_of(tag)
        snapshot, ids = self._hub.snapshot, Allocator(self._hub.ids)
        edits = decide(State(snapshot, ids, deleted_flag, known_tag))
        check_keys(snapshot, edits)
        changes, after = stamp(snapshot, edits, actor=actor, now_ms=self._clock())
        await self._check_deleted_keys(snapshot, changes)
        if changes:
            await append(changes, ids.ids, partial(self._hub.prepare, changes, after))
        return tuple(after.by_id(edit.flag.id) or edit.flag for edit in edits), after.revision

    async def _check_deleted_keys(self, snapshot: Snapshot, changes: Sequence[Change]) -> None:
        arriving = [each for each in changes if each.flag is not None and each.flag_key not in snapshot.flags]
        if not arriving:
            return
        owners = await self._storage.deleted_owners([change.flag_key for change in arriving])
        for change in arriving:
            owner = owners.get(change.flag_key)
            if owner is not None and owner != change.flag_id:
                raise InvalidFlag(f"key: {change.flag_key!r} is taken by the deleted flag {owner}")

    async def _delivered(self, revision: int) -> None:
        try:
            await self._hub.reached(revision, _DELIVERY_TIMEOUT)
        except TimeoutError:
            # Committed all the same: to say otherwise would be wrong, and the tail catches up by itself.
            _log.warning("revision %d is committed, but was not delivered in %.0f s", revision, _DELIVERY_TIMEOUT)
        # The broadcaster was woken with us, perhaps after us; streams need not wait until the edit's answer is made.
        await asyncio.sleep(0)


async def _nowhere(_revision: int) -> None:
    """Wait for nobody else to serve an edit."""


def check_keys(snapshot: Snapshot, edits: Sequence[Edit]) -> None:
    """Refuse edits that would give two flags the same key.

    Raises:
        InvalidFlag: names the key and who has it.
    """
    arriving: dict[str, int] = {}
    for edit in edits:
        key, flag_id = edit.flag.key, edit.flag.id
        holder = snapshot.flags.get(key)
        owner = arriving.get(key) or (flag_id if holder is None else holder.id)
        if owner != flag_id:
            raise InvalidFlag(f"key: {key!r} is taken by flag {owner}")
        arriving[key] = flag_id
