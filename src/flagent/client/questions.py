"""What a manager asks a server: one flag for one entity, and how many such questions become few requests. No I/O."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any

import msgspec
from msgspec import Struct

from ..core.model import Entity
from ..core.results import EvalResult, Reason
from ..core.texts import text
from ..errors import DecodeError
from . import evaluation_calls
from .batches import EvalRequest
from .call import Call
from .canonical import canonical

#: Most entities and flags of a request: what servers accept by default.
_MOST_ENTITIES = _MOST_FLAGS = 1000
#: Most results of a request, of some 500 bytes each, and most bytes of entities.
_MOST_RESULTS, _MOST_BYTES = 10_000, 4 << 20

#: Reasons of results that are no answers.
_NO_ANSWERS = frozenset({Reason.ERROR, Reason.NOT_READY})

#: A flag as a request names it: by key, or by id when the key is None.
FlagName = tuple[str | None, int | None]


class Question(Struct, frozen=True):
    """One flag for one entity.

    Attributes:
        flag: which flag.
        entity: who, with a context that is JSON already.
        debug: whether the result shall say what each segment decided.
        who: names the entity, with its type and context.
        cached: whether the answer may be given to the same question again.
    """

    flag: FlagName
    entity: Entity
    debug: bool
    who: Hashable
    cached: bool

    @property
    def key(self) -> Hashable:
        """What the same questions have in common."""
        return (self.flag, self.debug, self.who)

    def keeps(self, result: EvalResult) -> bool:
        """Return whether a result of it may be kept, and given again."""
        return self.cached and result.reason not in _NO_ANSWERS


class Batch(Struct, frozen=True):
    """Questions that one request asks.

    Attributes:
        questions: the questions.
        call: the request; its result has one answer to each question, in order.
    """

    questions: Sequence[Question]
    call: Call[list[EvalResult]]


def question(
    flag_key: str | None,
    entity_id: str,
    entity_context: Mapping[str, Any] | None,
    *,
    flag_id: int | None = None,
    entity_type: str | None = None,
    debug: bool = False,
) -> Question | EvalResult:
    """Return the question, or the result `ERROR` when it can't be put: its context is none, or can't be read."""
    key = text(flag_key)
    try:
        flag: FlagName = (None, int(flag_id)) if key is None and flag_id is not None else (key or "", None)
        if entity_context is not None and not isinstance(entity_context, Mapping):
            raise TypeError("it is no mapping")
        context = canonical(entity_context or None)
        who, kind = text(entity_id) or "", text(entity_type) or None
        # A text that is no Unicode fails here, and not in the middle of a batch.
        name = canonical([who, kind]) + context
        canonical(key)
    except Exception as exc:  # noqa: BLE001 - a foreign mapping may raise anything
        message = f"entity with a context of type {type(entity_context).__name__} can't be sent: {type(exc).__name__}"
        return EvalResult(key or "", Reason.ERROR, entity_id=text(entity_id) or "", message=message)
    raw: Any = None if context == b"null" else msgspec.Raw(context)
    # Without an id the server draws one, each time another.
    cached = not (not who or who.isspace())
    return Question(flag, Entity(who, kind, raw), bool(debug), name if cached else object(), cached)


def questions_of(requests: Iterable[EvalRequest]) -> list[Question | EvalResult]:
    """Return for each evaluation of a batch what `question` does."""
    return [
        question(
            each.flag_key,
            each.entity_id,
            each.entity_context,
            flag_id=each.flag_id,
            entity_type=each.entity_type,
            debug=each.debug,
        )
        for each in requests
    ]


def batches(questions: Sequence[Question]) -> Iterator[Batch]:
    """Yield the requests that ask all these questions, none twice: one, unless they are very many.

    A request names flags and entities, and is answered for each flag and each entity. Questions of all
    kinds fit in one, at the price of answers that nobody wants; those are bounded, and dropped.
    """
    if len(questions) == 1:
        yield _single(questions[0])
        return
    for debug in (False, True):
        asked = {(each.who, each.flag): each for each in questions if each.debug is debug}
        for entities, flags in _grids(asked.values()):
            yield _batch(asked, entities, flags, debug)


def _grids(questions: Iterable[Question]) -> Iterator[tuple[dict[Hashable, Entity], list[FlagName]]]:
    """Yield entities and flags that cover all questions, within the limits of a request."""
    entities: dict[Hashable, Entity] = {}
    flags_of: dict[Hashable, dict[FlagName, None]] = {}
    for each in questions:
        entities[each.who] = each.entity
        flags_of.setdefault(each.who, {})[each.flag] = None
    # Those who want the same flags are neighbours, so that few answers are for nothing.
    alike: dict[frozenset[FlagName], list[Hashable]] = {}
    for who, flags in flags_of.items():
        alike.setdefault(frozenset(flags), []).append(who)
    group: dict[Hashable, Entity] = {}
    wanted: dict[FlagName, None] = {}
    size = 0
    for who in (each for group_alike in alike.values() for each in group_alike):
        size += _size(who)
        if group and not _fits(len(group) + 1, len(wanted | flags_of[who]), size):
            yield from _cut(group, list(wanted))
            group, wanted, size = {}, {}, _size(who)
        group[who] = entities[who]
        wanted |= flags_of[who]
    if group:
        yield from _cut(group, list(wanted))


def _fits(entities: int, flags: int, size: int) -> bool:
    small = entities <= _MOST_ENTITIES and flags <= _MOST_FLAGS and size <= _MOST_BYTES
    return small and entities * flags <= _MOST_RESULTS


def _cut(
    entities: dict[Hashable, Entity], flags: list[FlagName]
) -> Iterator[tuple[dict[Hashable, Entity], list[FlagName]]]:
    """Yield the flags in pieces: one entity alone may want more of them than a request may name."""
    for start in range(0, len(flags), _MOST_FLAGS):
        yield entities, flags[start : start + _MOST_FLAGS]


def _size(who: Hashable) -> int:
    return len(who) if isinstance(who, bytes) else 100


def _single(asked: Question) -> Batch:
    (key, flag_id), entity = asked.flag, asked.entity
    call = evaluation_calls.evaluate(
        key,
        entity.entity_id,
        entity.entity_context,
        flag_id=flag_id,
        entity_type=entity.entity_type,
        debug=asked.debug,
    )
    return Batch([asked], Call(call.method, call.path, lambda body: [call.decode(body)], call.body))


def _batch(
    asked: Mapping[tuple[Hashable, FlagName], Question],
    entities: dict[Hashable, Entity],
    flags: list[FlagName],
    debug: bool,
) -> Batch:
    flag_ids = [flag_id for _, flag_id in flags if flag_id is not None]
    flag_keys = [key for key, _ in flags if key is not None]
    call = evaluation_calls.evaluate_batch(
        entities.values(), flag_ids=flag_ids or None, flag_keys=flag_keys or None, debug=debug
    )
    # The order of the answers: entity by entity, and for each the ids before the keys.
    names: list[FlagName] = [*((None, flag_id) for flag_id in flag_ids), *((key, None) for key in flag_keys)]
    cells = [asked.get((who, flag)) for who in entities for flag in names]
    return Batch([each for each in cells if each is not None], _picking(call, [each is not None for each in cells]))


def _picking(call: Call[list[EvalResult]], wanted: Sequence[bool]) -> Call[list[EvalResult]]:
    def decode(body: bytes) -> list[EvalResult]:
        results = call.decode(body)
        if len(results) != len(wanted):
            raise DecodeError(f"the answer has {len(results)} results, {len(wanted)} were asked for")
        return list(compress(results, wanted))

    return Call(call.method, call.path, decode, call.body)
