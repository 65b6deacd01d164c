"""Evaluation as managers offer it: plain methods, the same on the sync and the async one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..core.constraints import text
from ..core.results import EvalResult, Reason
from .replica import Replica


class EvaluationRequest(NamedTuple):
    """One evaluation of a batch: which flag, for whom."""

    flag_key: str
    entity_id: str
    entity_context: Mapping[str, Any] | None = None


class Evaluator:
    """Evaluates flags on what a replica holds; takes no lock, does no I/O, never raises."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def evaluate(
        self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None, *, debug: bool = False
    ) -> EvalResult:
        """Return what a flag is for an entity.

        Args:
            flag_key: key of the flag.
            entity_id: who; decides the bucket of rollouts and splits.
            entity_context: properties that constraints look at: JSON values by name.
            debug: whether the result tells what each segment said.

        Returns:
            The result; `reason` says how it came about. Nothing is raised: an unknown flag is
            `FLAG_NOT_FOUND`, no snapshot yet is `NOT_READY`, odd arguments are `ERROR`.
        """
        ruleset = self._replica.ruleset or self._replica.revived()
        if ruleset is None:
            return _not_ready(flag_key, entity_id)
        return ruleset.evaluate(flag_key, entity_id, entity_context, debug=debug)

    def is_enabled(self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> bool:
        """Return whether the entity gets a variant of the flag."""
        return self.evaluate(flag_key, entity_id, entity_context).variant_key is not None

    def get_variant(self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> str | None:
        """Return the key of the variant that the entity gets, or None."""
        return self.evaluate(flag_key, entity_id, entity_context).variant_key

    def evaluate_batch(self, requests: Iterable[EvaluationRequest]) -> list[EvalResult]:
        """Return the results of several evaluations, in their order, all on the same snapshot."""
        ruleset = self._replica.ruleset or self._replica.revived()
        if ruleset is None:
            return [_not_ready(request.flag_key, request.entity_id) for request in requests]
        return [ruleset.evaluate(request.flag_key, request.entity_id, request.entity_context) for request in requests]

    def evaluate_all(self, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> dict[str, EvalResult]:
        """Return the results of all flags by key, all on the same snapshot; empty without one."""
        ruleset = self._replica.ruleset or self._replica.revived()
        return {} if ruleset is None else ruleset.evaluate_all(entity_id, entity_context)


def _not_ready(flag_key: str, entity_id: str) -> EvalResult:
    return EvalResult(
        text(flag_key) or "",
        Reason.NOT_READY,
        entity_id=text(entity_id) or "",
        message="there is no snapshot yet: call bootstrap()",
    )
