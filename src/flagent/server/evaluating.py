"""Evaluation on the server for whoever asks, by a request or over a socket."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from ..core.changes import Snapshot
from ..core.edits import time_text
from ..core.evaluation import Ruleset
from ..core.model import wire_name
from .asgi import Refusal
from .clocks import now_ms
from .filters import tag_values
from .gate import Access
from .hub import Hub
from .keys import KeyKind
from .results import ALL, Asked, EvalContext, Name, Result, asked, evaluate, explained
from .settings import Settings
from .visible import Rules, shown

T = TypeVar("T")

#: Evaluations of a batch before others on the event loop have a turn: about two milliseconds.
_SLICE = 500


class EntityBody(Struct, frozen=True, rename=wire_name):
    """One of the entities of a batch."""

    entity_id: str | None = None
    entity_type: str | None = None
    entity_context: dict[str, Any] | None = None


class BatchBody(Struct, frozen=True, rename=wire_name):
    """Which flags to evaluate for which entities."""

    entities: list[EntityBody] | None = None
    flag_ids: list[int] | None = msgspec.field(name="flagIDs", default=None)
    flag_keys: list[str] | None = None
    flag_tags: list[str] | None = None
    flag_tags_operator: str | None = None
    enable_debug: bool | None = None


class Evaluations:
    """Evaluates on the newest rules that the caller may see.

    Args:
        hub: has the rules.
        settings: `max_batch_entities` and `max_batch_flags` count here.
        evaluated: called with how many evaluations were made.
    """

    def __init__(self, hub: Hub, settings: Settings, evaluated: Callable[[int], None]) -> None:
        self._rules = Rules(hub)
        self._evaluated = evaluated
        self._settings = settings
        self._tagged = Tagged()
        self._second = 0
        self._second_text = ""

    def one(self, context: EvalContext, access: Access, *, explains: bool = False) -> Result:
        """Return the result of one flag for one entity, also for a flag that is not there.

        Args:
            context: what is asked.
            access: who asks.
            explains: whether to tell each step, to those who may see rules.
        """
        ruleset = self._rules.for_access(access)
        flag = asked(ruleset, context)
        result = evaluate(ruleset, flag, context, entity_id(context.entity_id), self._timestamp())
        self._evaluated(1)
        if explains and access.kind is not KeyKind.CLIENT:
            return explained(ruleset, result)
        return shown(result, access)

    def few(self, body: BatchBody, access: Access) -> list[Result] | None:
        """Return the results of several flags for several entities, entity by entity; None if they are many.

        Raises:
            Refusal: 400, it names too little or too much.
        """
        batch = self._batch(body, access)
        return self._counted(list(batch.results(list(batch.flags())))) if batch.size <= _SLICE else None

    async def many(self, body: BatchBody, access: Access) -> list[Result]:
        """Return the results of several flags for several entities, entity by entity, however many.

        Raises:
            Refusal: 400, it names too little or too much.
        """
        batch = self._batch(body, access)
        return self._counted(await _in_turns(batch.results(await _in_turns(batch.flags()))))

    def _batch(self, body: BatchBody, access: Access) -> _Batch:
        self._check(body)
        # One state for all of them, however long it takes.
        ruleset = self._rules.for_access(access)
        return _Batch(ruleset, access, body, self._names(ruleset.snapshot, body), self._timestamp())

    def _counted(self, results: list[Result]) -> list[Result]:
        self._evaluated(len(results))
        return results

    def _timestamp(self) -> str:
        """Return the present as text; all of it but the decimals is the same for a second."""
        second, ms = divmod(now_ms(), 1000)
        if second != self._second:
            self._second, self._second_text = second, time_text(second * 1000).removesuffix("000Z")
        return f"{self._second_text}{ms:03}Z"

    def _check(self, body: BatchBody) -> None:
        entities, most = body.entities or (), self._settings.max_batch_entities
        if not entities:
            raise Refusal(400, "entities: at least one is needed")
        if len(entities) > most:
            raise Refusal(400, f"entities: {len(entities)} are too many, at most {most} are allowed")
        selectors = {"flagIDs": body.flag_ids, "flagKeys": body.flag_keys, "flagTags": body.flag_tags}
        if not any(selectors.values()):
            raise Refusal(400, "flagIDs, flagKeys, flagTags: at least one of them is needed")
        for name, values in selectors.items():
            if values is not None and len(values) > self._settings.max_batch_flags:
                most = self._settings.max_batch_flags
                raise Refusal(400, f"{name}: {len(values)} are too many, at most {most} are allowed")

    def _names(self, snapshot: Snapshot, body: BatchBody) -> list[Name]:
        """Return what to evaluate for each entity: the flags by tag, then those by id, then those by key."""
        tags, operator = body.flag_tags or [], body.flag_tags_operator
        tagged = self._tagged.flag_ids(snapshot, tags, operator == ALL) if tags else ()
        return [
            *(Name(flag_id, None, tags, operator) for flag_id in tagged),
            *(Name(flag_id) for flag_id in body.flag_ids or ()),
            *(Name(None, flag_key) for flag_key in body.flag_keys or ()),
        ]


class _Batch(NamedTuple):
    """What is evaluated for whom, on one state."""

    ruleset: Ruleset
    access: Access
    body: BatchBody
    names: list[Name]
    timestamp: str

    @property
    def size(self) -> int:
        """How many results there are."""
        return len(self.names) * len(self.body.entities or ())

    def flags(self) -> Iterator[Asked]:
        """Yield the flags that are evaluated for each entity."""
        return (asked(self.ruleset, name) for name in self.names)

    def results(self, flags: list[Asked]) -> Iterator[Result]:
        """Yield the results, entity by entity."""
        for entity in self.body.entities or ():
            context = EvalContext(None, entity.entity_type, entity.entity_context, self.body.enable_debug)
            who = entity_id(entity.entity_id)
            for flag in flags:
                yield shown(evaluate(self.ruleset, flag, context, who, self.timestamp), self.access)


async def _in_turns(values: Iterator[T]) -> list[T]:
    """Return the values, which are made when they are asked for, while others on the event loop have turns."""
    found: list[T] = []
    while True:
        part = list(islice(values, _SLICE))
        found += part
        if len(part) < _SLICE:
            return found
        await asyncio.sleep(0)


class Tagged:
    """Which flags have which tag, in the newest snapshot that was asked about."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._ids: dict[str, set[int]] = {}

    def flag_ids(self, snapshot: Snapshot, tags: list[str], every: bool) -> list[int]:
        """Return the ids of the flags that have one of the tags, or every one, in order."""
        if snapshot is not self._snapshot:
            ids: dict[str, set[int]] = {}
            for flag in snapshot.flags.values():
                for value in tag_values(flag):
                    ids.setdefault(value, set()).add(flag.id)
            self._snapshot, self._ids = snapshot, ids
        sets = [self._ids.get(value, set()) for value in tags]
        return sorted(set.intersection(*sets) if every else set.union(*sets))


def entity_id(given: str | None) -> str:
    """Return the id that decides the bucket, a random one if none is given."""
    if given and not given.isspace():
        return given
    return f"randomly_generated_{random.randrange(1 << 31)}"  # noqa: S311
