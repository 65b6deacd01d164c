"""What the stream for one entity says: results, whenever they are others, and nothing about rules.

Nothing is kept per entity: what a flag was before a change is in the change's frame, so both sides of
it are evaluated when it happens (`entity_answers`). A reader that fell behind what is in memory gets all results anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Self

import msgspec
from msgspec import Raw, Struct

from ..core.changes import Cursor
from ..core.compiled import Decider
from ..wire.encodings import NOTHING, Encoding, Messages
from ..wire.results import EntityResults
from .entity_answers import Answers, AnswersAt, View
from .hub import Hub
from .readers import goodbye

#: Flags evaluated before others on the event loop have a turn: less than a millisecond.
_SLICE = 1000


class Entity(Struct, frozen=True):
    """Who is evaluated.

    Attributes:
        id: decides the bucket.
        context: what constraints look at.
    """

    id: str
    context: Mapping[str, Any]


class EntityReader:
    """A reader of one entity's results.

    Args:
        hub: has the rules.
        answers: what it has in common with others.
        entity: who.
        view: of which flags.
        cursor: at which the reader has all results; None for one that has nothing.
        encoding: how to write them.
    """

    __slots__ = ("_answers", "_encoding", "_entity", "_hub", "_is_new", "_view", "catch_up", "cursor", "wanted")
    compatible = False

    def __init__(
        self, hub: Hub, answers: Answers, entity: Entity, view: View, *, cursor: Cursor | None, encoding: Encoding
    ) -> None:
        self.cursor = hub.cursor if cursor is None else cursor
        self.wanted = view.wanted
        self._hub = hub
        self._answers = answers
        self._entity = entity
        self._view = view
        self._encoding = encoding
        self.catch_up: Callable[[], AsyncIterator[Messages]] | None = None
        # Few results are told at once, if what decides them is known.
        known = answers.newest().known(view) if cursor is None else None
        self._is_new = known is not None and len(known) <= _SLICE
        if cursor is None and not self._is_new:
            self.catch_up = self._everything

    @property
    def seen(self) -> Cursor:
        """The same as the cursor."""
        return self.cursor

    @property
    def alike(self) -> Hashable | None:
        """Who is evaluated, for whom and on what; several tabs of one user share the work."""
        entity = self._entity.id, _canonical(self._entity.context)
        return self._encoding, entity, self._view

    def copy(self) -> Self:
        """Return another reader that stands where this one does."""
        return type(self)(
            self._hub,
            self._answers,
            self._entity,
            self._view,
            cursor=None if self._is_new or self.catch_up is not None else self.cursor,
            encoding=self._encoding,
        )

    def skip(self, cursor: Cursor) -> None:
        """Say that no change up to here concerns the flags that it is about."""
        if self.cursor.epoch == cursor.epoch and self.cursor.revision < cursor.revision:
            self.cursor = cursor

    def news(self) -> Messages:
        """Return the results that changed; all of them to who is new."""
        if self._is_new:
            self._is_new = False
            answers = self._answers.newest()
            known = answers.known(self._view)
            return self._all_at_once() if known is None else self._whole(answers, self._results(answers, known))
        if self.cursor is self._hub.cursor or self._hub.is_ahead(self.cursor):
            return NOTHING
        answers = self._answers.newest()
        turns = answers.turns_after(self.cursor, self._view)
        if turns is None:
            return self._all_at_once()
        self.cursor = answers.cursor
        encoding, who, context = self._encoding, self._entity.id, self._entity.context
        told = [answers.update(encoding, before(who, context), after(who, context)) for before, after in turns]
        return encoding.joined(filter(None, told))

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
        answers = self._answers.newest()
        known = answers.known(self._view)
        results: list[Raw] = []
        for deciders in answers.found(self._view) if known is None else _sliced(known):
            results += self._results(answers, deciders)
            await asyncio.sleep(0)
        yield self._whole(answers, results)

    def _all_at_once(self) -> Messages:
        # The broadcaster asks for it again, and then lets it take its time.
        self.catch_up = self._everything
        return NOTHING

    def _results(self, answers: AnswersAt, deciders: Sequence[Decider]) -> list[Raw]:
        who, context = self._entity.id, self._entity.context
        return answers.parts(self._encoding, [decide(who, context) for decide in deciders])

    def _whole(self, answers: AnswersAt, results: list[Raw]) -> Messages:
        self.cursor = answers.cursor
        message = EntityResults(str(self.cursor), results)
        return self._encoding.joined((self._encoding.encode(message, self.cursor),))


def _sliced(deciders: Sequence[Decider]) -> Iterator[Sequence[Decider]]:
    return (deciders[begin : begin + _SLICE] for begin in range(0, len(deciders), _SLICE))


#: Contexts come from JSON, so all of them can be written as such.
_canonical = msgspec.json.Encoder(order="deterministic").encode
