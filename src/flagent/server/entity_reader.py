"""What the stream for one entity says: results, whenever they are others, and nothing about rules.

Nothing is kept per entity: what a flag was before a change is in the change's frame, so both sides of
it are evaluated when it happens. A reader that fell behind what is in memory gets all results anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping
from typing import Any, Self

import msgspec
from msgspec import Struct

from ..core.changes import Cursor, Snapshot
from ..core.evaluation import EvalResult, Reason, Ruleset
from ..core.model import Flag
from ..wire.encodings import NOTHING, Encoding, Messages
from ..wire.results import EntityResult, EntityResults, EntityUpdate
from .filters import EVERYTHING, Filter
from .frames import Frame
from .hub import Hub
from .readers import goodbye

#: Flags evaluated before others on the event loop have a turn: about a millisecond.
_SLICE = 100


class Entity(Struct, frozen=True):
    """Who is evaluated.

    Attributes:
        id: decides the bucket.
        context: what constraints look at.
    """

    id: str
    context: Mapping[str, Any]


class Histories:
    """What readers of different entities have in common.

    These are rules as they were before the changes that are in memory, and results as they are written: entities are
    many, and the variants of a flag few.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._at = hub.cursor
        self._before: dict[int, Ruleset] = {}
        self._updates: dict[tuple[Encoding, str, int, str | None, str], bytes] = {}

    def before(self, frame: Frame) -> Ruleset | None:
        """Return what evaluates the flag as it was before a change; None when there was none."""
        if frame.before is None:
            return None
        self._renew()
        found = self._before.get(frame.change.revision)
        if found is None:
            found = Ruleset.compile(Snapshot.of("", 0, (frame.before,)))
            self._before[frame.change.revision] = found
        return found

    def update(self, encoding: Encoding, result: EntityResult) -> bytes:
        """Return the message that tells a result of the newest rules; the attachment follows from flag and variant."""
        self._renew()
        place = (encoding, result.flag_key, result.flag_id, result.variant_key, result.reason)
        made = self._updates.get(place)
        if made is None:
            message = EntityUpdate(str(self._at), result)
            made = self._updates[place] = encoding.encode(message, self._at)
        return made

    def _renew(self) -> None:
        if self._at is not self._hub.cursor:
            self._at, self._before, self._updates = self._hub.cursor, {}, {}


class EntityReader:
    """A reader of one entity's results.

    Args:
        hub: has the rules.
        histories: what the rules were.
        entity: who.
        wanted: of which flags.
        visible_only: whether only flags that are marked client-visible exist for this reader.
        cursor: at which the reader has all results; None for one that has nothing.
        encoding: how to write them.
    """

    __slots__ = (
        "_encoding",
        "_entity",
        "_histories",
        "_hub",
        "_visible_only",
        "catch_up",
        "cursor",
        "wanted",
    )
    compatible = False

    def __init__(
        self,
        hub: Hub,
        histories: Histories,
        entity: Entity,
        wanted: Filter,
        *,
        visible_only: bool,
        cursor: Cursor | None,
        encoding: Encoding,
    ) -> None:
        self.cursor = hub.cursor if cursor is None else cursor
        self._hub = hub
        self._histories = histories
        self._entity = entity
        self.wanted = wanted
        self._visible_only = visible_only
        self._encoding = encoding
        self.catch_up: Callable[[], AsyncIterator[Messages]] | None = self._everything if cursor is None else None

    @property
    def seen(self) -> Cursor:
        """The same as the cursor."""
        return self.cursor

    @property
    def alike(self) -> Hashable | None:
        """Who is evaluated, for whom and on what; several tabs of one user share the work."""
        entity = self._entity.id, _canonical(self._entity.context)
        return self._encoding, entity, self.wanted, self._visible_only

    def copy(self) -> Self:
        """Return another reader that stands where this one does."""
        return type(self)(
            self._hub,
            self._histories,
            self._entity,
            self.wanted,
            visible_only=self._visible_only,
            cursor=None if self.catch_up is not None else self.cursor,
            encoding=self._encoding,
        )

    def skip(self, cursor: Cursor) -> None:
        """Say that no change up to here concerns the flags that it is about."""
        if self.cursor.epoch == cursor.epoch and self.cursor.revision < cursor.revision:
            self.cursor = cursor

    def news(self) -> Messages:
        """Return the results that changed."""
        if self.cursor is self._hub.cursor or self._hub.is_ahead(self.cursor):
            return NOTHING
        missed = self._hub.frames_after(self.cursor)
        if missed is None:
            return self._all_at_once()
        self.cursor = self._hub.cursor
        return self._encoding.joined(self._histories.update(self._encoding, each) for each in self._changed(missed))

    def sign(self) -> Messages:
        """Return a heartbeat, without the digest: it is about rules."""
        if self._hub.is_ahead(self.cursor):
            return self._encoding.comment
        return self._hub.heartbeat(self._encoding, with_digest=False)

    def nudge(self) -> Messages:
        """Return nothing: what was missed is written anyway."""
        return NOTHING

    def restart(self, reason: str) -> Messages:  # noqa: ARG002 - what it gets is all it needs
        """Return all results."""
        return self._all_at_once()

    def goodbye(self, reason: str, reconnect_after_ms: int) -> Messages:
        """Return a `goodbye`."""
        return goodbye(self._encoding, reason, reconnect_after_ms)

    async def _everything(self) -> AsyncIterator[Messages]:
        """Yield all results of one state; others have turns meanwhile."""
        ruleset = self._hub.ruleset
        results = []
        for position, (flag, key) in enumerate(self._flags(ruleset.snapshot), 1):
            results.append(self._result(ruleset, flag, key))
            if position % _SLICE == 0:
                await asyncio.sleep(0)
        self.cursor = ruleset.snapshot.cursor
        yield self._whole(results)

    def _all_at_once(self) -> Messages:
        # The broadcaster asks for it again, and then lets it take its time.
        self.catch_up = self._everything
        return NOTHING

    def _whole(self, results: list[EntityResult]) -> Messages:
        message = EntityResults(str(self.cursor), results)
        return self._encoding.joined((self._encoding.encode(message, self.cursor),))

    def _flags(self, snapshot: Snapshot) -> Iterable[tuple[Flag | None, str]]:
        """Return the flags that the reader asked for, and the keys that it asked for and that are not there."""
        wanted = self.wanted
        if wanted.keys is not None and wanted.ids is None and wanted.tags is None:
            return [(snapshot.flags.get(key), key) for key in sorted(wanted.keys)]
        passing = (flag for flag in snapshot.flags.values() if wanted is EVERYTHING or wanted.passes_flag(flag))
        return [(flag, flag.key) for flag in passing if self._visible(flag)]

    def _changed(self, missed: list[Frame]) -> list[EntityResult]:
        """Return what is different now, by key: a flag that was renamed is gone under one and new under another."""
        # The first frame of a flag knows what it was, and the present is what it is.
        first: dict[int, Frame] = {}
        for frame in missed:
            if frame.passes(self.wanted):
                first.setdefault(frame.change.flag_id, frame)
        before: dict[str, EntityResult] = {}
        after: dict[str, EntityResult] = {}
        ruleset = self._hub.ruleset
        for flag_id, frame in first.items():
            old, new = self._histories.before(frame), ruleset.snapshot.by_id(flag_id)
            # One that did not pass before was never told of.
            if old is not None and frame.before is not None and self._passes(frame.before):
                before[frame.before.key] = self._result(old, frame.before, frame.before.key)
                after.setdefault(frame.before.key, _nothing(frame.before.key))
            if new is not None and self._passes(new):
                after[new.key] = self._result(ruleset, new, new.key)
        return [result for key, result in after.items() if result != before.get(key, _nothing(key))]

    def _passes(self, flag: Flag) -> bool:
        return self.wanted is EVERYTHING or self.wanted.passes_flag(flag)

    def _visible(self, flag: Flag) -> bool:
        return flag.client_visible or not self._visible_only

    def _result(self, ruleset: Ruleset, flag: Flag | None, key: str) -> EntityResult:
        if flag is None or not self._visible(flag):
            return _nothing(key)
        return _shown(ruleset.evaluate_id(flag.id, self._entity.id, self._entity.context))


#: Contexts come from JSON, so all of them can be written as such.
_canonical = msgspec.json.Encoder(order="deterministic").encode


def _nothing(key: str) -> EntityResult:
    return EntityResult(key, 0, None, None, Reason.FLAG_NOT_FOUND.value)


def _shown(result: EvalResult) -> EntityResult:
    return EntityResult(
        result.flag_key, result.flag_id, result.variant_key, result.variant_attachment, result.reason.value
    )
