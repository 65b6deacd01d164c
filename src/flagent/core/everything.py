"""All flags in one call: what `Ruleset.evaluate_all` has ready, so that a thousand flags take little more than they must.

What is the same for everybody is not decided again, and results get their entity's id by a copy that is made without a
step of Python for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

from msgspec.structs import force_setattr

from .compiled import Decider, only_result
from .interpreter import id_text
from .results import EvalResult


class Everything:
    """Keys and deciders of all flags of a ruleset.

    Args:
        deciders: what decides for each flag, with its key.
    """

    __slots__ = ("_deciders", "_keys", "_open", "_settled")

    def __init__(self, deciders: Sequence[tuple[str, Decider]]) -> None:
        self._keys = [key for key, _ in deciders]
        self._deciders = [decide for _, decide in deciders]
        self._settled = list(map(only_result, self._deciders))
        self._open = [
            (at, decide)
            for at, (decide, result) in enumerate(zip(self._deciders, self._settled, strict=True))
            if result is None
        ]

    def evaluate(self, entity_id: str, context: Mapping[str, Any] | None) -> dict[str, EvalResult]:
        """Return the results of all flags, by key; takes what `Ruleset.evaluate` does."""
        results: list[Any]
        if type(entity_id) is str and entity_id and (context is None or type(context) is dict):
            entity = entity_id
            results = self._settled.copy()
            for at, decide in self._open:
                results[at] = decide(entity_id, context)
        else:
            entity = id_text(entity_id)
            results = [decide(entity_id, context) for decide in self._deciders]
        copies: list[EvalResult] = list(map(_copy, results))
        # Nobody has seen the copies yet, so they may still be altered; the call returns None, and `any` goes on.
        any(map(force_setattr, copies, repeat("entity_id"), repeat(entity)))
        return dict(zip(self._keys, copies, strict=True))


_copy: Any = EvalResult.__copy__  # type: ignore[attr-defined]
