"""All flags in one call: what `Ruleset.evaluate_all` has ready, so that a thousand flags take as little as can be.

What is the same for everybody is not decided again. Flags of one shape that look at the same properties are decided by
one loop, which reads these once, and is given the entity's buckets (`lanes`); it is made of the source of their
functions, which is their docstring (`compiled`). For flags with `country EQ ..` that are on for a part of those it is

    def fill(context, k1, rows, buckets, results):
        v0 = context.get(k1)
        if type(v0) is not str and v0 is not None: v0 = texted(v0)
        for (at, k0, k3, k4, k5), n in zip(rows, buckets):
            if (v0 == k0):
                if n < k4: results[at] = k3; continue
            results[at] = k5; continue

Results get their entity's id by copies that are made without a step of Python for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from types import FunctionType
from typing import Any, NamedTuple, cast

from msgspec.structs import force_setattr

from .compiled import GLOBALS, Decider, only_result
from .interpreter import id_text
from .lanes import Lanes
from .results import EvalResult

#: From here on flags of one shape are worth a loop.
_LOOP_FROM = 4
#: How lines begin that read a property, in the body of a function (`compiled`).
_READING = (" v", " if type(v")
#: The line that finds the bucket; in one flag it is the same bucket each time.
_HASHING = re.compile(r" *n = crc32\(entity\.encode\(\), k(\d+)\) % \d+$")

_Fill = Callable[..., None]
#: It can be called with any result, and is one step of C.
_copy: Callable[[EvalResult], EvalResult] = EvalResult.__copy__  # type: ignore[attr-defined]


class Everything:
    """Keys and deciders of all flags of a ruleset.

    Args:
        deciders: what decides for each flag, with its key.
    """

    __slots__ = ("_calls", "_deciders", "_empty", "_keys", "_plan")

    def __init__(self, deciders: Sequence[tuple[str, Decider]]) -> None:
        self._keys = [key for key, _ in deciders]
        self._empty: dict[str, Any] = dict.fromkeys(self._keys)
        self._deciders = [decide for _, decide in deciders]
        self._calls = 0
        self._plan: _Plan | None = None

    def evaluate(self, entity_id: str, context: Mapping[str, Any] | None) -> dict[str, EvalResult]:
        """Return the results of all flags, by key; takes what `Ruleset.evaluate` does."""
        results: Sequence[Any] | None = None
        if type(entity_id) is str and entity_id and (context is None or type(context) is dict):
            plan = self._planned()
            results = None if plan is None else plan.results(entity_id, context)
        if results is None:
            results = [decide(entity_id, context) for decide in self._deciders]
        copies = list(map(_copy, results))
        entity = entity_id if type(entity_id) is str else id_text(entity_id)
        # Nobody has seen the copies yet, so they may still be altered; the call returns None, and `any` goes on.
        any(map(force_setattr, copies, repeat("entity_id"), repeat(entity)))
        # Filling a copy that has all keys is quicker than letting one grow.
        named = self._empty.copy()
        named.update(zip(self._keys, copies, strict=True))
        return named

    def _planned(self) -> _Plan | None:
        # Planning takes as long as some calls, and the next change ends it: one call alone is not worth it.
        if self._plan is None:
            self._calls += 1
            if self._calls > 1:
                # Two threads may make it at the same time, which does no harm.
                self._plan = _Plan(self._deciders)
        return self._plan


class _Group(NamedTuple):
    """Flags that one loop decides; with lanes if buckets count."""

    fill: _Fill
    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    lanes: Lanes | None


class _Plan:
    """How the flags are decided for an id that is a text and a context that is a dict, or none."""

    __slots__ = ("_groups", "_settled", "_single")

    def __init__(self, deciders: Sequence[Decider]) -> None:
        self._settled = list(map(only_result, deciders))
        self._single: list[tuple[int, Decider]] = []
        self._groups: list[_Group] = []
        alike: dict[Any, list[tuple[int, Decider]]] = {}
        for at, decide in enumerate(deciders):
            if self._settled[at] is None:
                alike.setdefault(_likeness(decide), []).append((at, decide))
        for likeness, members in alike.items():
            if likeness is None or len(members) < _LOOP_FROM:
                self._single += members
            else:
                body, names = likeness
                self._groups.append(_grouped(body, names, members))

    def results(self, entity: str, context: Any) -> list[EvalResult | None] | None:
        """Return the results in the order of the flags; None when something raised."""
        results = self._settled.copy()
        if context is None:
            context = {}
        try:
            encoded = entity.encode()
            for fill, names, rows, lanes in self._groups:
                fill(context, *names, rows, lanes and lanes.buckets(encoded), results)
        except Exception:  # noqa: BLE001 - as in the functions of the flags, which are asked then, and begin anew
            return None
        for at, decide in self._single:
            results[at] = decide(entity, context)
        return results


def _likeness(decide: Decider) -> tuple[str, tuple[str, ...]] | None:
    """Return what flags of one loop have in common: the source, and names of properties; None for the interpreter."""
    if not isinstance(decide, FunctionType) or decide.__doc__ is None:
        return None
    constants = cast("tuple[Any, ...]", decide.__defaults__)
    return decide.__doc__, tuple(constants[number + 1] for number in _loop(decide.__doc__, len(constants) - 1).named)


def _grouped(body: str, names: tuple[str, ...], members: Sequence[tuple[int, Decider]]) -> _Group:
    first = cast("FunctionType", members[0][1])
    loop = _loop(body, len(first.__defaults__ or ()) - 1)
    rows, states = [], []
    for at, decide in members:
        constants = cast("FunctionType", decide).__defaults__ or ()
        rows.append((at, *(constants[number + 1] for number in loop.others)))
        states += [constants[number + 1] for number in loop.states[:1]]
    return _Group(_filling(loop.source), names, rows, Lanes(states) if states else None)


class _Loop(NamedTuple):
    """A loop over flags.

    Attributes:
        source: its source.
        named: which constants of a function are names of properties.
        states: which of them are the state to hash from, all of them the same.
        others: which of them are neither.
    """

    source: str
    named: tuple[int, ...]
    states: tuple[int, ...]
    others: tuple[int, ...]


@lru_cache(maxsize=1024)
def _loop(body: str, constants: int) -> _Loop:
    _, _, decided = body.partition("try:\n")
    lines = decided.split("\n")[:-1]
    reading = [line for line in lines if line.startswith(_READING)]
    hashing = [found for line in lines if (found := _HASHING.match(line)) is not None]
    named = tuple(int(number) for number in re.findall(r"context\.get\(k(\d+)\)", "\n".join(reading)))
    states = tuple(int(found[1]) for found in hashing)
    others = tuple(number for number in range(constants) if number not in named and number not in states)
    row = "".join(("at", *(f", k{number}" for number in others)))
    source = [f"def fill(context,{''.join(f' k{number},' for number in named)} rows, buckets, results):", *reading]
    source.append(f" for ({row}), n in zip(rows, buckets):" if states else f" for {row} in rows:")
    elsewhere = {*reading, *(found[0] for found in hashing)}
    deciding = "\n".join(f" {line}" for line in lines if line not in elsewhere)
    source.append(re.sub(r"\breturn (.+)$", r"results[at] = \1; continue", deciding, flags=re.MULTILINE))
    return _Loop("\n".join(source), named, states, others)


# As in `compiled`, there is nothing of a flag in a source.


@lru_cache(maxsize=1024)
def _filling(source: str) -> _Fill:
    made: dict[str, Any] = {}
    exec(source, GLOBALS, made)  # noqa: S102 - see above
    fill: _Fill = made["fill"]
    return fill
