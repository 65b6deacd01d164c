"""Evaluations as Flagent's clients ask for them and read them; exact to the member.

Members of the echo without a value are left out, and so is the debug log: Flagent's Dart client
breaks on a null there. `variantKey` is null and never empty: some take an empty one for a variant.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from ..core.evaluation import EvalResult, Reason, Ruleset
from ..core.explain import SegmentTrace, explain
from ..core.model import Flag, wire_name
from .filters import tag_values

ANY, ALL = "ANY", "ALL"


class EvalContext(Struct, frozen=True, rename=wire_name, omit_defaults=True):
    """What a request asks, and what a result echoes: who, and which flag."""

    entity_id: str | None = None
    entity_type: str | None = None
    entity_context: dict[str, Any] | None = None
    enable_debug: bool | None = None
    flag_id: int | None = None
    flag_key: str | None = None
    flag_tags: list[str] | None = None
    flag_tags_operator: str | None = None


class SegmentMessage(Struct, frozen=True):
    """What was found in one segment."""

    segment_id: int = msgspec.field(name="segmentID")
    msg: str = ""


class DebugLog(Struct, frozen=True):
    """Why the result is what it is."""

    msg: str
    segment_debug_logs: list[SegmentMessage] = msgspec.field(name="segmentDebugLogs")


class Explained(Struct, frozen=True):
    """The steps of an evaluation, as `core.explain` has them, and as text for people, line by line."""

    revision: str
    enabled: bool
    rollout: str | None
    bucket: int | None
    segments: tuple[SegmentTrace, ...]
    text: list[str]


class Result(Struct, frozen=True, rename=wire_name):
    """Flagent's EvalResult, and our reason."""

    flag_id: int
    flag_key: str
    flag_snapshot_id: int
    flag_tags: tuple[str, ...]
    segment_id: int | None
    variant_id: int | None
    variant_key: str | None
    variant_attachment: dict[str, Any] | None
    eval_context: EvalContext
    timestamp: str
    reason: str
    eval_debug_log: DebugLog | UnsetType = UNSET
    explanation: Explained | UnsetType = UNSET


def explained(ruleset: Ruleset, result: Result) -> Result:
    """Return the result with every step that led to it, a member that Flagent's clients do not know."""
    context = result.eval_context
    found = explain(ruleset, result.flag_key, context.entity_id or "", context.entity_context)
    return replace(
        result,
        explanation=Explained(
            found.revision, found.enabled, found.rollout, found.bucket, found.segments, str(found).splitlines()
        ),
    )


def find(ruleset: Ruleset, flag_id: int | None, flag_key: str | None) -> Flag | None:
    """Return the flag that a request names: by id, else by key, else by a key that is an id in digits."""
    snapshot = ruleset.snapshot
    flag = None if flag_id is None else snapshot.by_id(flag_id)
    if flag is None and flag_key:
        flag = snapshot.flags.get(flag_key)
        if flag is None and flag_key.isascii() and flag_key.isdigit() and len(flag_key) < 20:
            flag = snapshot.by_id(int(flag_key))
    return flag


def evaluate(ruleset: Ruleset, context: EvalContext, entity_id: str, timestamp: str) -> Result:
    """Return the result of one flag for one entity.

    Args:
        ruleset: what to evaluate.
        context: what the request says.
        entity_id: the entity's id, drawn if the request names none.
        timestamp: the result's.
    """
    flag = find(ruleset, context.flag_id, context.flag_key)
    if flag is None:
        return _not_found(context, entity_id, timestamp)
    debug = bool(context.enable_debug)
    result = ruleset.evaluate(flag.key, entity_id, context.entity_context, debug=debug)
    return Result(
        flag_id=flag.id,
        flag_key=flag.key,
        flag_snapshot_id=flag.snapshot_id,
        flag_tags=tag_values(flag),
        segment_id=result.segment_id,
        variant_id=result.variant_id,
        variant_key=result.variant_key,
        variant_attachment=result.variant_attachment,
        eval_context=_echo(context, entity_id, flag.entity_type),
        timestamp=timestamp,
        reason=result.reason.value,
        eval_debug_log=_debug_log(flag, result) if debug or result.variant_key is None else UNSET,
    )


def _not_found(context: EvalContext, entity_id: str, timestamp: str) -> Result:
    flag_id = context.flag_id or 0
    return Result(
        flag_id=flag_id,
        flag_key=context.flag_key or "",
        flag_snapshot_id=0,
        flag_tags=(),
        segment_id=None,
        variant_id=None,
        variant_key=None,
        variant_attachment=None,
        eval_context=_echo(context, entity_id, None),
        timestamp=timestamp,
        reason=Reason.FLAG_NOT_FOUND.value,
        eval_debug_log=DebugLog(f"flagID {flag_id} not found or deleted", []),
    )


def _echo(context: EvalContext, entity_id: str, flag_entity_type: str | None) -> EvalContext:
    operator = context.flag_tags_operator
    return EvalContext(
        entity_id=entity_id,
        entity_type=context.entity_type or flag_entity_type or None,
        entity_context=context.entity_context,
        enable_debug=context.enable_debug,
        # Values that some clients refuse: an id of nothing, an operator that is none.
        flag_id=context.flag_id or None,
        flag_key=context.flag_key or None,
        flag_tags=context.flag_tags or None,
        flag_tags_operator=operator if operator in (ANY, ALL) else None,
    )


def _debug_log(flag: Flag, result: EvalResult) -> DebugLog:
    logs = [SegmentMessage(log.segment_id, log.msg) for log in result.debug_logs]
    if result.reason is Reason.FLAG_DISABLED:
        return DebugLog(f"flagID {flag.id} is not enabled", logs)
    if result.reason is Reason.NO_SEGMENTS:
        return DebugLog(f"flagID {flag.id} has no segments", logs)
    return DebugLog(logs[0].msg if logs else result.message, logs)
