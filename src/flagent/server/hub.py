"""The serving side's fan-out point: the newest ruleset, the last changes as ready-made frames, one bell.

Memory only, and only on the event loop. A reader is a cursor: it asks for what follows the
cursor, writes it, and waits for the bell. Nothing is queued for anybody, so a slow reader costs
nothing and loses nothing: one that falls behind gets the net change instead of every change.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import islice

from msgspec.structs import replace

from ..core.changes import Change, Cursor, Delta, FlagRef, Snapshot, digest_text
from ..core.evaluation import Ruleset
from ..core.model import Flag
from ..errors import Diverged
from ..wire.codec import Heartbeat, Resync
from ..wire.encodings import COMPATIBLE, FULL, NOTHING, Encoding, Messages
from . import frames
from .clocks import clock_ms
from .filters import EVERYTHING, Filter
from .frames import Frame, net_change
from .steps import Steps
from .storage import Stored

#: Answers kept for readers that stand at the same cursor. Few, because a sync may be as large as the snapshot.
_MEMORY = 24
#: Milliseconds for which readers get the same heartbeat.
_BEAT = 10


class Bridge(StrEnum):
    """How a reader gets from its cursor to the present."""

    CURRENT = "current"
    CHANGES = "changes"
    SYNC = "sync"
    RESYNC = "resync"


class Hub:
    """Serves the present state and what led to it.

    Attributes:
        ruleset: the newest snapshot, compiled; replaced as a whole.
        ids: the largest ids ever given out.
        cursor: where the newest snapshot stands.
    """

    def __init__(self, stored: Stored, *, ring: int = 1024, sync_after: int = 64, max_tombstones: int = 10_000) -> None:
        """Serve from `stored` on; the bounds are those of `Settings`."""
        self._ring: deque[Frame] = deque(maxlen=ring)
        self._steps = Steps()
        self._sync_after = min(sync_after, ring)
        self._max_tombstones = max_tombstones
        self._bells: dict[Callable[[], object], None] = {}
        self._take(stored, Ruleset.compile(stored.snapshot))

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot."""
        return self.ruleset.snapshot

    @property
    def divergences(self) -> int:
        """How often a change did not lead to the digest it announces; must stay 0."""
        return self._steps.divergences

    def reload(self, stored: Stored) -> None:
        """Start anew from `stored`, when the changes that lead to it can't be had; readers get the net change."""
        self._take(stored, self.ruleset.replaced(stored.snapshot))
        self._ring.clear()
        self._ring_bells()

    def deliver(self, changes: Sequence[Change]) -> None:
        """Take the next changes of the log; those that are known already are passed over.

        Raises:
            Diverged: they do not follow, or can't be applied; the hub has to be reloaded.
        """
        try:
            for change in changes:
                if change.revision > self.cursor.revision:
                    self._apply(change)
        finally:
            self._ring_bells()

    def prepare(self, changes: Sequence[Change], snapshot: Snapshot) -> None:
        """Do what `deliver` will have to do for the changes that lead to `snapshot`, if they are ever committed."""
        # Who imports many flags does not count in milliseconds.
        if len(changes) == 1 and changes[0].revision == self.cursor.revision + 1:
            self._steps.prepare(self.ruleset, self.ids, changes[0], snapshot, self._ring[-1] if self._ring else None)

    def add_bell(self, bell: Callable[[], object]) -> None:
        """Call `bell` whenever there is something new to read; it must not raise."""
        self._bells[bell] = None

    def remove_bell(self, bell: Callable[[], object]) -> None:
        """Call `bell` no more."""
        self._bells.pop(bell, None)

    async def reached(self, revision: int, timeout: float) -> None:
        """Return once the snapshot contains `revision`.

        Raises:
            TimeoutError: it does not after `timeout` seconds.
        """
        if self.cursor.revision >= revision:
            return
        bell = asyncio.Event()
        self.add_bell(bell.set)
        try:
            async with asyncio.timeout(timeout):
                while self.cursor.revision < revision:
                    await bell.wait()
                    bell.clear()
        finally:
            self.remove_bell(bell.set)

    @property
    def changed_at(self) -> int:
        """When the newest change was made that is still in the ring, in milliseconds since 1970; 0 without one."""
        return self._ring[-1].change.timestamp if self._ring else 0

    def is_ahead(self, cursor: Cursor) -> bool:
        """Whether a reader knows more than we do yet, from another server on the same log."""
        return cursor.epoch == self.cursor.epoch and cursor.revision > self.cursor.revision

    def is_near(self, cursor: Cursor) -> bool:
        """Whether a reader at `cursor` gets every change from memory, or knows more than we do yet."""
        missed = self._missed(cursor)
        return self.is_ahead(cursor) or (missed is not None and missed <= self._sync_after)

    def bridge(self, cursor: Cursor, wanted: Filter = EVERYTHING) -> Bridge:
        """Return how a reader gets from `cursor` to the present."""
        if cursor == self.cursor or self.is_ahead(cursor):
            return Bridge.CURRENT
        missed = self._missed(cursor)
        # What a flag was tagged with before a change is known within the ring only.
        if missed is not None and (missed <= self._sync_after or wanted.tags is not None):
            return Bridge.CHANGES
        can_sync = cursor.epoch == self.cursor.epoch and cursor.revision >= self._gone_since and wanted.tags is None
        return Bridge.SYNC if can_sync else Bridge.RESYNC

    def read(
        self, cursor: Cursor, wanted: Filter = EVERYTHING, encoding: Encoding = FULL, *, resumes: bool = False
    ) -> tuple[Messages, Cursor]:
        """Return what follows `cursor`, and the cursor after it.

        A reader that `resumes` gets the net change instead of several changes of one flag, if that is shorter.

        It never awaits. So nothing can be delivered between what it returns and the next call, and
        a reader sees each change once, in order, without a lock. A reader that is ahead of us gets
        nothing until we are there: nobody is ever taken back to an older state.
        """
        if cursor is self.cursor or cursor == self.cursor or self.is_ahead(cursor):
            return NOTHING, cursor
        shared, place = wanted is EVERYTHING, (encoding, cursor, resumes)
        found = self._answers.get(place) if shared else None
        if found is None:
            found = self._read(cursor, wanted, encoding)
            if resumes:
                found = self._shorter(found, cursor, wanted, encoding)
            if shared and len(self._answers) < _MEMORY:
                self._answers[place] = found
        return found, self.cursor

    def read_compatible(self, cursor: Cursor, wanted: Filter, now_ms: int) -> tuple[Messages, Cursor]:
        """Return one event per flag that changed after `cursor`, for Flagent's own clients, and the cursor after it.

        They load the whole snapshot at any event, so one that fell behind the ring gets a nudge.
        """
        if cursor is self.cursor or cursor == self.cursor or self.is_ahead(cursor):
            return NOTHING, cursor
        missed = self.frames_after(cursor)
        if missed is None:
            return self.nudge(wanted, now_ms), self.cursor
        shared, place = wanted is EVERYTHING, (COMPATIBLE, cursor, False)
        found = self._answers.get(place) if shared else None
        if found is None:
            found = frames.coalesced(missed, wanted)
            if shared and len(self._answers) < _MEMORY:
                self._answers[place] = found
        return found, self.cursor

    def frames_after(self, cursor: Cursor) -> list[Frame] | None:
        """Return the changes that follow `cursor`, oldest first, or None when they are not all in memory."""
        missed = self._missed(cursor)
        # From the right, where a deque is quick; readers are seldom far behind.
        return None if missed is None else list(islice(reversed(self._ring), missed))[::-1]

    def nudge(self, wanted: Filter, now_ms: int) -> Messages:
        """Return an update of the flag that changed last and passes the filter; nothing when there is none."""
        return frames.nudge(self._last_changed(wanted), now_ms)

    def heartbeat(self, encoding: Encoding, *, with_digest: bool = True) -> Messages:
        """Return the sign of life that tells where the newest snapshot stands."""
        now = clock_ms()
        made_at, made = self._heartbeats.get((encoding, with_digest), (-math.inf, NOTHING))
        if now - made_at >= _BEAT:
            digest = digest_text(self.snapshot.digest) if with_digest else None
            made = encoding.joined((encoding.encode(Heartbeat(str(self.cursor), digest, now), self.cursor),))
            self._heartbeats[encoding, with_digest] = now, made
        return made

    def resync(self, encoding: Encoding, reason: str) -> Messages:
        """Return what sends a reader to the snapshot."""
        message = encoding.encode(Resync(str(self.cursor), reason), self.cursor)
        return encoding.joined((message,))

    def delta(self, cursor: Cursor, wanted: Filter = EVERYTHING) -> Delta | None:
        """Return the net change since `cursor`, or None when only a snapshot leads from there to here."""
        reachable = cursor.epoch == self.cursor.epoch and self._gone_since <= cursor.revision <= self.cursor.revision
        if not reachable or wanted.tags is not None:
            return None
        missed = self.frames_after(cursor)
        touched = None if missed is None else {frame.change.flag_id for frame in missed}
        gone = [ref for revision, ref in self._gone if revision > cursor.revision]
        return net_change(self.snapshot, cursor, gone, wanted, touched)

    def _take(self, stored: Stored, ruleset: Ruleset) -> None:
        self.ids = stored.ids
        self._gone: deque[tuple[int, FlagRef]] = deque(stored.tombstones)
        self._gone_since = stored.tombstones_since
        self._advance(ruleset)

    def _advance(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self.cursor = ruleset.snapshot.cursor
        self._answers: dict[tuple[Encoding, Cursor, bool], Messages] = {}
        self._heartbeats: dict[tuple[Encoding, bool], tuple[float, Messages]] = {}
        self._last: Flag | None = None
        self._bury()

    def _apply(self, change: Change) -> None:
        if change.revision != self.cursor.revision + 1:
            raise Diverged(f"revision {change.revision} does not follow {self.cursor.revision}")
        frame, ruleset, self.ids = self._steps.step(self.ruleset, self.ids, change)
        self._ring.append(frame)
        if len(self._ring) > self._sync_after:
            self._ring[-1 - self._sync_after].forget()
        before = frame.before
        if before is not None and (change.flag is None or change.flag.key != before.key):
            self._gone.append((change.revision, FlagRef(before.id, before.key)))
        self._advance(ruleset)

    def _bury(self) -> None:
        while len(self._gone) > self._max_tombstones:
            self._gone_since, _ = self._gone.popleft()

    def _ring_bells(self) -> None:
        for bell in tuple(self._bells):
            bell()

    def _missed(self, cursor: Cursor) -> int | None:
        """Return how many changes of the ring follow `cursor`, or None when it reaches back farther."""
        missed = self.cursor.revision - cursor.revision
        return missed if cursor.epoch == self.cursor.epoch and 0 <= missed <= len(self._ring) else None

    def _read(self, cursor: Cursor, wanted: Filter, encoding: Encoding) -> Messages:
        if wanted is EVERYTHING and self._missed(cursor) == 1:  # nearly always
            return encoding.joined((self._ring[-1].encoded(encoding),))
        bridge = self.bridge(cursor, wanted)
        missed = self.frames_after(cursor) if bridge is Bridge.CHANGES else None
        if missed is not None:
            return frames.changes(missed, wanted, encoding)
        if bridge is Bridge.SYNC and (delta := self.delta(cursor, wanted)) is not None:
            return _sync(delta, encoding)
        reason = "cursor is too old" if cursor.epoch == self.cursor.epoch else "cursor is of another log"
        return self.resync(encoding, reason)

    def _shorter(self, found: Messages, cursor: Cursor, wanted: Filter, encoding: Encoding) -> Messages:
        """Return the net change since `cursor` instead of what was found, if that is shorter."""
        missed = self.frames_after(cursor)
        if not found or missed is None or len({frame.change.flag_id for frame in missed}) == len(missed):
            return found
        delta = self.delta(cursor, wanted)
        if delta is None:
            return found
        net = _sync(delta, encoding)
        return net if sum(map(len, net)) < sum(map(len, found)) else found

    def _last_changed(self, wanted: Filter) -> Flag | None:
        if wanted is not EVERYTHING:
            return frames.last_changed(self.snapshot, wanted)
        # Each of Flagent's clients asks for it once, and a restart of this server makes all of them ask.
        if self._last is None:
            self._last = frames.last_changed(self.snapshot, wanted)
        return self._last


def _sync(delta: Delta, encoding: Encoding) -> Messages:
    return encoding.joined((encoding.encode(replace(delta, clock=clock_ms()), delta.cursor),))
