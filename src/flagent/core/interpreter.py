"""The plain evaluator: what a flag is for an entity, step by step, as the specification has it.

It is slower than what `compiled` makes, which has to agree with it, and does what that leaves to it: debug logs, and
arguments of unusual types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .bucketing import bucket, in_rank_order, place
from .constraints import Predicate, compile_constraint
from .model import Flag, Segment
from .results import EvalResult, Reason, SegmentLog
from .texts import text

_NO_CONTEXT: Mapping[str, Any] = {}


class Interpreter:
    """A flag with its segments in order and their constraints as predicates."""

    __slots__ = ("_flag", "_segments")

    def __init__(self, flag: Flag) -> None:
        self._flag = flag
        self._segments: tuple[tuple[Segment, tuple[Predicate, ...]], ...] = tuple(
            (segment, tuple(map(compile_constraint, segment.constraints))) for segment in in_rank_order(flag)
        )

    def evaluate(self, entity_id: object, context: Mapping[str, Any] | None, *, debug: bool = False) -> EvalResult:
        """Return what the flag is for this entity; never raises."""
        entity = id_text(entity_id)
        if context is None:
            context = _NO_CONTEXT
        try:
            return self._evaluate(entity, context, debug)
        except Exception as exc:  # noqa: BLE001 - a foreign mapping may raise anything, and evaluation never does
            said = f"context of type {type(context).__name__} can't be evaluated: {type(exc).__name__}"
            return result_without_variant(self._flag, Reason.ERROR, said, entity)

    def _evaluate(self, entity_id: str, context: Mapping[str, Any], debug: bool) -> EvalResult:
        flag = self._flag
        decided = decided_for_all(flag)
        if decided is not None:
            return result_without_variant(flag, *decided, entity_id)
        logs: list[SegmentLog] = []
        number = bucket(flag.id, entity_id)
        for segment, predicates in self._segments:
            if not all(holds(context) for holds in predicates):
                if debug:
                    logs.append(SegmentLog(segment.id, f"segment_id {segment.id} did not match constraints"))
                continue
            # Without an id there is no bucket of one's own: all the nameless would share one.
            placement = place(segment, flag.rollout, number) if entity_id else None
            if placement is not None and placement.variant_id is not None:
                if debug:
                    said = f"matched all constraints. rollout yes. variantID: {placement.variant_id}"
                    logs.append(SegmentLog(segment.id, said))
                return result_with_variant(flag, segment.id, placement.variant_id, entity_id, tuple(logs))
            if debug:
                logs.append(SegmentLog(segment.id, "matched all constraints. rollout no."))
            if placement is not None and placement.final:
                break
        said = logs[0].msg if logs else ""
        return result_without_variant(flag, Reason.NO_MATCH, said, entity_id, tuple(logs))


def id_text(entity_id: object) -> str:
    """Return the text of an entity's id, whatever was given for one."""
    if isinstance(entity_id, (bytes, bytearray)):
        return entity_id.decode("utf-8", "replace")
    return text(entity_id) or ""


def decided_for_all(flag: Flag) -> tuple[Reason, str] | None:
    """Return why nobody gets a variant of the flag, and the message; None when it depends."""
    if not flag.enabled:
        return Reason.FLAG_DISABLED, f"flagID {flag.id} is not enabled"
    if not flag.segments:
        return Reason.NO_SEGMENTS, f"flagID {flag.id} has no segments"
    return None


def result_with_variant(
    flag: Flag, segment_id: int, variant_id: int, entity_id: str = "", debug_logs: tuple[SegmentLog, ...] = ()
) -> EvalResult:
    """Return the result for an entity that a segment gave a variant, which the flag may not have."""
    # Of several with the same id the last one counts.
    variant = next((variant for variant in reversed(flag.variants) if variant.id == variant_id), None)
    return EvalResult(
        flag.key,
        Reason.MATCH,
        flag.id,
        flag.snapshot_id,
        entity_id,
        None if variant is None else variant.key,
        variant_id,
        None if variant is None else variant.attachment,
        segment_id,
        debug_logs,
        debug_logs[0].msg if debug_logs else "",
    )


def result_without_variant(
    flag: Flag, reason: Reason, message: str, entity_id: str = "", debug_logs: tuple[SegmentLog, ...] = ()
) -> EvalResult:
    """Return the result for an entity that gets no variant of the flag."""
    return EvalResult(flag.key, reason, flag.id, flag.snapshot_id, entity_id, debug_logs=debug_logs, message=message)
