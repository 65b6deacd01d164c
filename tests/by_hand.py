"""The same evaluations written by hand, and the program whose instructions `test_speed` counts.

The functions have the form of the generated ones (`core.compiled`), and do what each flag asks for and nothing else.
As a program it evaluates a hundred times after each call of `getppid`, where callgrind begins to count anew
(`PARTS` has the order).
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

from msgspec.structs import replace

from flagent import OfflineManager
from flagent.core.changes import Snapshot
from flagent.core.evaluation import Ruleset
from flagent.core.model import Constraint, Distribution, Flag, Segment, Variant
from flagent.core.results import EvalResult, Reason

KINDS = ("a", "b", "c", "d", "e", "f", "g", "result", "all")
CALLS, SLOWER = 100, 130
#: How many flags there are for `all`, a third of each of the first three kinds.
ALL = 60

#: What is counted one after the other: the kind, by whom, and how many evaluations.
PARTS = [(kind, *part) for kind in KINDS for part in (("hand", CALLS), ("ours", CALLS), ("ours", SLOWER))]

_EMAIL = r"^[a-z0-9._+-]+@(example|acme)\.(com|org)$"
_RUN = "abcdefghijklmnopqrstuvwxyz0123456789._+-"
_DOMAINS = frozenset(f"@{name}.{top}" for name in ("example", "acme") for top in ("com", "org"))
_TEAMS = [f"team-{number:04}" for number in range(1000)]
CONTEXT = {
    "country": "DE",
    "age": 34,
    "tier": "t9",
    "team": "team-0500",
    "email": "jane.doe+x@acme.org",
    "plan": "pro",
}
USERS = [f"user-{number:05}-4f2a" for number in range(CALLS)]
#: All have the same properties; for `g`, which is `f` otherwise, each has an e-mail of his own.
CALLERS = [(user, CONTEXT) for user in USERS]
OTHERS = [(user, {**CONTEXT, "email": f"jane.{number:04}+@acme.org"}) for number, user in enumerate(USERS)]

ByHand = Callable[[Any, Any], EvalResult]


def made(number: int, segments: list[tuple[int, list[tuple[str, str, str]]]], variants: int = 1) -> Flag:
    shares = tuple(Distribution(variant, 100 // variants) for variant in range(1, variants + 1))
    return Flag(
        number,
        "abcdefg"[number - 1],
        enabled=True,
        segments=tuple(
            Segment(rank, rank, rollout, constraints=tuple(Constraint(*each) for each in given), distributions=shares)
            for rank, (rollout, given) in enumerate(segments)
        ),
        variants=tuple(Variant(variant, f"v{variant}") for variant in range(1, variants + 1)),
    )


_FLAGS = [
    made(1, [(100, [])]),
    made(2, [(50, [])]),
    made(3, [(100, [("country", "EQ", "DE"), ("age", "GTE", "18")])], variants=2),
    made(4, [(100, [("tier", "EQ", f"t{number}")]) for number in range(10)]),
    made(5, [(100, [("team", "IN", ",".join(_TEAMS))])]),
    made(6, [(100, [("email", "EREG", _EMAIL)])]),
    made(7, [(100, [("email", "EREG", _EMAIL)])]),
]
_ALL = [replace(_FLAGS[number % 3], id=number + 1, key=f"flag{number}") for number in range(ALL)]
_ON = EvalResult("f", Reason.MATCH, 1, variant_key="on")
_OFF = EvalResult("f", Reason.NO_MATCH, 1)


def on_off(entity: Any, context: Any, on: EvalResult = _ON) -> EvalResult:
    if type(entity) is not str or not entity:
        return _OFF
    return on


def rollout(
    entity: Any, context: Any, state: int = crc32(b"2"), on: EvalResult = _ON, off: EvalResult = _OFF
) -> EvalResult:
    if type(entity) is not str or not entity:
        return off
    return on if crc32(entity.encode(), state) % 1000 < 500 else off


def two_conditions(
    entity: Any,
    context: Any,
    country: str = "country",
    germany: str = "DE",
    age: str = "age",
    adult: int = 18,
    state: int = crc32(b"3"),
) -> EvalResult:
    if type(entity) is not str or not entity or type(context) is not dict:
        return _OFF
    where = context.get(country)
    if type(where) is not str and where is not None:
        return _OFF
    old = context.get(age)
    if type(old) is not int and type(old) is not float:
        return _OFF
    if where == germany and old >= adult:
        return _ON if crc32(entity.encode(), state) % 1000 < 500 else _OFF
    return _OFF


def looked_up(name: str, found: Callable[[str], Any]) -> ByHand:
    def decide(entity: Any, context: Any, name: str = name, found: Callable[[str], Any] = found) -> EvalResult:
        if type(entity) is not str or not entity or type(context) is not dict:
            return _OFF
        value = context.get(name)
        if type(value) is not str and value is not None:
            return _OFF
        return _OFF if value is None or found(value) is None else _ON

    return decide


class Last:
    __slots__ = ("text",)

    def __init__(self) -> None:
        self.text: object = None


def stripping(name: str, characters: str, rest: frozenset[str]) -> ByHand:
    kept = Last()

    def decide(
        entity: Any,
        context: Any,
        name: str = name,
        characters: str = characters,
        rest: frozenset[str] = rest,
        last: Last = kept,
    ) -> EvalResult:
        if type(entity) is not str or not entity or type(context) is not dict:
            return _OFF
        value = context.get(name)
        if value is last.text:
            return _ON
        if type(value) is not str or value.lstrip(characters) not in rest:
            return _OFF
        last.text = value
        return _ON

    return decide


class ManagerByHand:
    """What a manager has to do, and nothing else."""

    def __init__(self) -> None:
        self.held = self
        self.deciders: Mapping[str, ByHand] = {
            "a": on_off,
            "b": rollout,
            "c": two_conditions,
            "d": looked_up("tier", {f"t{number}": _ON for number in range(10)}.get),
            "e": looked_up("team", dict.fromkeys(_TEAMS, _ON).get),
            "f": stripping("email", _RUN, _DOMAINS),
            "g": stripping("email", _RUN, _DOMAINS),
        }
        first = [self.deciders[key] for key in "abc"]
        self.all_deciders = {f"flag{number}": first[number % 3] for number in range(ALL)}

    def is_enabled(self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> bool:
        return self.held.deciders[flag_key](entity_id, entity_context).variant_key is not None

    def evaluate(self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> EvalResult:
        return replace(self.held.deciders[flag_key](entity_id, entity_context), entity_id=entity_id)

    def evaluate_all(self, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> dict[str, EvalResult]:
        return {
            key: replace(decide(entity_id, entity_context), entity_id=entity_id)
            for key, decide in self.all_deciders.items()
        }


def manager(flags: Sequence[Flag] = _FLAGS) -> OfflineManager:
    made = OfflineManager({})
    made._replica.replace(Ruleset.compile(Snapshot.of("e", 1, flags)), None)
    return made


def evaluations(kind: str, by: str, calls: int) -> Callable[[], None]:
    """Return what evaluates so often, with everything that is needed for it at hand."""
    callers = ((OTHERS if kind == "g" else CALLERS) * 2)[:calls]
    if kind == "all":
        evaluate_all = (manager(_ALL) if by == "ours" else ManagerByHand()).evaluate_all

        def work() -> None:
            for user, context in callers:
                evaluate_all(user, context)

        return work
    key, name = ("c", "evaluate") if kind == "result" else (kind, "is_enabled")
    evaluate = getattr(manager() if by == "ours" else ManagerByHand(), name)

    def work_one() -> None:
        for user, context in callers:
            evaluate(key, user, context)

    return work_one


def main() -> None:
    works = [evaluations(*part) for part in PARTS]
    for work in works:
        work()
    gc.disable()
    for work in works:
        os.getppid()
        work()
    os.getppid()


if __name__ == "__main__":
    main()
