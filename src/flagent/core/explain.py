"""Why an evaluation came out as it did: each segment and constraint, and the bucket against the ranges.

Slower than evaluating, and separate from it; the answer is the same, which the tests hold to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from .bucketing import BUCKETS, bucket, in_order, in_rank_order, place
from .constraints import compile_constraint
from .evaluation import Ruleset
from .model import PROPORTIONAL, Flag, Segment, wire_name
from .results import EvalResult
from .texts import text

_PER_PERCENT = BUCKETS // 100


class ConstraintTrace(Struct, frozen=True, rename=wire_name):
    """One condition, and what it met.

    Attributes:
        property: name of the property of the context.
        operator: how it is compared.
        expected: what the constraint says.
        actual: the text that was compared; None when the property is missing or has no text.
        present: whether the context has the property, with another value than None.
        holds: whether the condition is met.
    """

    property: str
    operator: str
    expected: str
    actual: str | None
    present: bool
    holds: bool


class Range(Struct, frozen=True, rename=wire_name):
    """The buckets of a variant in a segment, the first and the last of them; none when `last` is below `first`."""

    variant_id: int
    variant_key: str | None
    first: int
    last: int


class SegmentTrace(Struct, frozen=True, rename=wire_name):
    """One segment, and what it decided.

    Attributes:
        segment_id: its id.
        description: what people call it.
        rollout_percent: how many percent of those that it takes in get a variant.
        constraints: its conditions, all of which must hold.
        ranges: the buckets of its variants.
        outcome: `matched`, `constraints` (one does not hold), `rollout` (the bucket is in no range), or
            `not reached` (an earlier segment has decided).
    """

    segment_id: int
    description: str
    rollout_percent: int
    constraints: tuple[ConstraintTrace, ...]
    ranges: tuple[Range, ...]
    outcome: str


class Explanation(Struct, frozen=True, rename=wire_name):
    """An evaluation, step by step; `str` gives it as text for people.

    Attributes:
        result: what the evaluation answers.
        revision: the cursor of the snapshot that it was made on.
        enabled: whether the flag is switched on; False when there is none.
        rollout: by which rule buckets become variants; None when there is no flag.
        bucket: the entity's bucket, 1 to 1000; None when there is no flag.
        segments: what each segment decided, in the order in which they are tried.
    """

    result: EvalResult
    revision: str
    enabled: bool
    rollout: str | None
    bucket: int | None
    segments: tuple[SegmentTrace, ...]

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def explain(
    ruleset: Ruleset, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None
) -> Explanation:
    """Return why the flag is what it is for the entity; like `Ruleset.evaluate` it never raises."""
    result = ruleset.evaluate(flag_key, entity_id, entity_context, debug=True)
    revision = str(ruleset.snapshot.cursor)
    flag = ruleset.flag(result.flag_key)
    if flag is None or flag.id != result.flag_id:
        return Explanation(result, revision, False, None, None, ())
    number = bucket(flag.id, result.entity_id)
    try:
        segments = tuple(_segments(flag, result, number, entity_context or {}))
    except Exception:  # noqa: BLE001 - a foreign mapping may raise anything; the result says ERROR then
        segments = ()
    return Explanation(result, revision, flag.enabled, flag.rollout, number, segments)


def _segments(flag: Flag, result: EvalResult, number: int, context: Mapping[str, Any]) -> Iterator[SegmentTrace]:
    decided = not flag.enabled
    for segment in in_rank_order(flag):
        constraints = tuple(_constraints(segment, context))
        outcome = "not reached"
        if not decided:
            if not all(constraint.holds for constraint in constraints):
                outcome = "constraints"
            elif not result.entity_id:
                # Without an id there is no bucket of one's own.
                outcome = "rollout"
            else:
                placement = place(segment, flag.rollout, number)
                decided = placement.final
                outcome = "rollout" if placement.variant_id is None else "matched"
        yield SegmentTrace(
            segment.id,
            segment.description,
            segment.rollout_percent,
            constraints,
            tuple(_ranges(flag, segment)),
            outcome,
        )


def _constraints(segment: Segment, context: Mapping[str, Any]) -> Iterator[ConstraintTrace]:
    for constraint in segment.constraints:
        value = context.get(constraint.property)
        yield ConstraintTrace(
            constraint.property,
            constraint.operator,
            constraint.value,
            text(value),
            value is not None,
            compile_constraint(constraint)(context),
        )


def _ranges(flag: Flag, segment: Segment) -> Iterator[Range]:
    """Yield the buckets of each share, after the rules of `bucketing`."""
    keys = {variant.id: variant.key for variant in flag.variants}
    shares = in_order(segment, flag.rollout)
    limit = min(BUCKETS, max(0, segment.rollout_percent * _PER_PERCENT))
    lower = 0
    for position, share in enumerate(shares, 1):
        size = share.percent * _PER_PERCENT
        if flag.rollout == PROPORTIONAL:
            # The rollout takes the first ones of each part: all b with 100 * (b - 1 - lower) < rollout * size.
            last = min(lower + max(0, -(-segment.rollout_percent * size // 100)), lower + size, BUCKETS)
        else:
            # What the percents leave over goes to the last one.
            last = limit if position == len(shares) else min(lower + size, limit)
        yield Range(share.variant_id, keys.get(share.variant_id), min(lower, BUCKETS) + 1, last)
        lower += size


def _lines(explanation: Explanation) -> Iterator[str]:
    result = explanation.result
    what = "no variant" if result.variant_key is None else f"variant {result.variant_key!r}"
    yield f"flag {result.flag_key!r} for entity {result.entity_id!r} at {explanation.revision}: {what}, {result.reason}"
    if explanation.bucket is None:
        yield f"  {result.message}"
        return
    state = "on" if explanation.enabled else "off"
    yield f"  the flag is switched {state}; bucket {explanation.bucket} of {BUCKETS}, rollout {explanation.rollout}"
    if not explanation.segments and explanation.enabled:
        yield f"  {result.message or 'it has no segments'}"
    for segment in explanation.segments:
        name = f" ({segment.description})" if segment.description else ""
        yield f"  segment {segment.segment_id}{name}, {segment.rollout_percent} %: {_OUTCOMES[segment.outcome]}"
        for constraint in segment.constraints:
            sign = "+" if constraint.holds else "-"
            actual = repr(constraint.actual) if constraint.present else "missing"
            condition = f"{constraint.property} {constraint.operator} {constraint.expected!r}"
            yield f"    {sign} {condition}: it is {actual}"
        for each in segment.ranges:
            here = "<-" if segment.outcome == "matched" and each.first <= explanation.bucket <= each.last else ""
            buckets = f"buckets {each.first} to {each.last}" if each.first <= each.last else "no buckets"
            yield f"    {each.variant_key or each.variant_id}: {buckets} {here}".rstrip()


_OUTCOMES = {
    "matched": "matched",
    "constraints": "a constraint does not hold",
    "rollout": "all constraints hold, but the bucket is in no range",
    "not reached": "not reached",
}
