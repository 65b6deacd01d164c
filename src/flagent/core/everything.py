"""All flags in one call: what `Ruleset.evaluate_all` has ready, so that a thousand flags take as little as can be.

What is the same for everybody is not decided again. Flags of one shape that look at the same properties are decided by
one loop, which reads these once, and is given the entity's buckets (`lanes`); it is made of the source of their
functions, which is their docstring (`compiled`). For flags with `country EQ ..` that are on for a part of those it is

    def fill(named, entity, context, k1, rows, buckets):
        v0 = context.get(k1)
        if type(v0) is not str and v0 is not None: v0 = texted(v0)
        for (key, k0, k3, k5), n in zip(rows, buckets):
            if (v0 == k0):
                if n: named[key] = replace(k3, entity_id=entity); continue
            named[key] = replace(k5, entity_id=entity); continue

`named` has all keys before, in order: filling it is quicker than letting a dict grow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import FunctionType
from typing import Any, NamedTuple, cast

from msgspec.structs import replace

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
#: Where the bucket is asked for, and where it is compared with one bound.
_BUCKET, _COMPARING = re.compile(r"\bn\b"), re.compile(r"\bif n < k(\d+):")
#: What a loop does where a function returns a result.
_KEEPING = r"named[key] = replace(\1, entity_id=entity)"
_GLOBALS = {**GLOBALS, "replace": replace}

_Fill = Callable[..., None]


class Everything:
    """Keys and deciders of all flags of a ruleset.

    Args:
        deciders: what decides for each flag, with its key.
    """

    __slots__ = ("_calls", "_deciders", "_empty", "_plan")

    def __init__(self, deciders: Sequence[tuple[str, Decider]]) -> None:
        self._empty: dict[str, Any] = dict.fromkeys(key for key, _ in deciders)
        self._deciders = deciders
        self._calls = 0
        self._plan: _Plan | None = None

    def evaluate(self, entity_id: str, context: Mapping[str, Any] | None) -> dict[str, EvalResult]:
        """Return the results of all flags, by key; takes what `Ruleset.evaluate` does."""
        named = self._empty.copy()
        if type(entity_id) is str and entity_id and (context is None or type(context) is dict):
            plan = self._planned()
            if plan is not None and plan.filled(named, entity_id, context):
                return named
        entity = entity_id if type(entity_id) is str else id_text(entity_id)
        for key, decide in self._deciders:
            named[key] = replace(decide(entity_id, context), entity_id=entity)
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

    __slots__ = ("_groups", "_settled", "_settled_keys", "_single")

    def __init__(self, deciders: Sequence[tuple[str, Decider]]) -> None:
        self._settled_keys: list[str] = []
        self._settled: list[EvalResult] = []
        self._single: list[tuple[str, Decider]] = []
        self._groups: list[_Group] = []
        alike: dict[Any, list[tuple[str, Decider]]] = {}
        for key, decide in deciders:
            result = only_result(decide)
            if result is None:
                alike.setdefault(_likeness(decide), []).append((key, decide))
            else:
                self._settled_keys.append(key)
                self._settled.append(result)
        for likeness, members in alike.items():
            if likeness is None or len(members) < _LOOP_FROM:
                self._single += members
            else:
                body, names = likeness
                self._groups.append(_grouped(body, names, members))

    def filled(self, named: dict[str, EvalResult], entity: str, context: Any) -> bool:
        """Put the results under the keys of `named`; return whether nothing raised. If so, some may be missing."""
        if context is None:
            context = {}
        try:
            encoded = entity.encode()
            for fill, names, rows, lanes in self._groups:
                fill(named, entity, context, *names, rows, lanes and lanes.of(encoded))
        except Exception:  # noqa: BLE001 - as in the functions of the flags, which are asked then, and begin anew
            return False
        for key, result in zip(self._settled_keys, self._settled, strict=True):
            named[key] = replace(result, entity_id=entity)
        for key, decide in self._single:
            named[key] = replace(decide(entity, context), entity_id=entity)
        return True


def _likeness(decide: Decider) -> tuple[str, tuple[str, ...]] | None:
    """Return what flags of one loop have in common: the source, and names of properties; None for the interpreter."""
    if not isinstance(decide, FunctionType) or decide.__doc__ is None:
        return None
    constants = cast("tuple[Any, ...]", decide.__defaults__)
    return decide.__doc__, tuple(constants[number + 1] for number in _loop(decide.__doc__, len(constants) - 1).named)


def _grouped(body: str, names: tuple[str, ...], members: Sequence[tuple[str, Decider]]) -> _Group:
    first = cast("FunctionType", members[0][1])
    loop = _loop(body, len(first.__defaults__ or ()) - 1)
    rows = []
    states: list[int] = []
    bounds: list[int] = []
    for key, decide in members:
        constants = (cast("FunctionType", decide).__defaults__ or ())[1:]
        rows.append((key, *(constants[number] for number in loop.others)))
        states += [constants[number] for number in loop.states[:1]]
        bounds += [constants[number] for number in loop.bounds]
    return _Group(_filling(loop.source), names, rows, Lanes(states, bounds) if states else None)


class _Loop(NamedTuple):
    """A loop over flags.

    Attributes:
        source: its source.
        named: which constants of a function are names of properties.
        states: which of them are the state to hash from, all of them the same.
        bounds: which of them is the one that the bucket is compared with; none if there are several.
        others: which of them are none of these.
    """

    source: str
    named: tuple[int, ...]
    states: tuple[int, ...]
    bounds: tuple[int, ...]
    others: tuple[int, ...]


@lru_cache(maxsize=1024)
def _loop(body: str, constants: int) -> _Loop:
    _, _, decided = body.partition("try:\n")
    lines = decided.split("\n")[:-1]
    reading = [line for line in lines if line.startswith(_READING)]
    hashing = [found for line in lines if (found := _HASHING.match(line)) is not None]
    named = tuple(int(number) for number in re.findall(r"context\.get\(k(\d+)\)", "\n".join(reading)))
    states = tuple(int(found[1]) for found in hashing)
    elsewhere = {*reading, *(found[0] for found in hashing)}
    deciding = "\n".join(f" {line}" for line in lines if line not in elsewhere)
    bounds = tuple(map(int, _COMPARING.findall(deciding)))
    if len(_BUCKET.findall(deciding)) == len(bounds) == 1:
        deciding = _COMPARING.sub("if n:", deciding)
    else:
        bounds = ()
    others = tuple(number for number in range(constants) if number not in (*named, *states, *bounds))
    row = "".join(("key", *(f", k{number}" for number in others)))
    names = "".join(f" k{number}," for number in named)
    source = [f"def fill(named, entity, context,{names} rows, buckets):", *reading]
    source.append(f" for ({row}), n in zip(rows, buckets):" if states else f" for {row} in rows:")
    source.append(re.sub(r"\breturn (.+)$", rf"{_KEEPING}; continue", deciding, flags=re.MULTILINE))
    return _Loop("\n".join(source), named, states, bounds, others)


# As in `compiled`, there is nothing of a flag in a source.


@lru_cache(maxsize=1024)
def _filling(source: str) -> _Fill:
    made: dict[str, Any] = {}
    exec(source, _GLOBALS, made)  # noqa: S102 - see above
    fill: _Fill = made["fill"]
    return fill
