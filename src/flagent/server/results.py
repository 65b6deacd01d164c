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


class EvalContext(Struct, frozen=True, gc=False, rename=wire_name, omit_defaults=True):
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


class Result(Struct, frozen=True, gc=False, rename=wire_name):
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
    reason: Reason
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


class Name(Struct, frozen=True, gc=False):
    """How a request names a flag."""

    flag_id: int | None = None
    flag_key: str | None = None
    flag_tags: list[str] | None = None
    flag_tags_operator: str | None = None


class Asked(Struct, frozen=True, gc=False):
    """A flag that was looked up, and how a result repeats its name.

    Attributes:
        flag: what was found; None for nothing.
        tags: texts of its tags.
        flag_id: as asked for, like all that follows.
    """

    flag: Flag | None
    tags: tuple[str, ...]
    flag_id: int | None
    flag_key: str | None
    flag_tags: list[str] | None
    flag_tags_operator: str | None


def asked(ruleset: Ruleset, name: Name | EvalContext) -> Asked:
    """Return the flag that a request names: by id, else by key, else by a key that is an id in digits."""
    snapshot, key = ruleset.snapshot, name.flag_key
    flag = None if name.flag_id is None else snapshot.by_id(name.flag_id)
    if flag is None and key:
        flag = snapshot.flags.get(key)
        if flag is None and key.isascii() and key.isdigit() and len(key) < 20:
            flag = snapshot.by_id(int(key))
    tags = tag_values(flag) if flag is not None and flag.tags else ()
    # Values that some clients refuse: an id of nothing, an operator that is none.
    operator = name.flag_tags_operator if name.flag_tags_operator in (ANY, ALL) else None
    return Asked(flag, tags, name.flag_id or None, key or None, name.flag_tags or None, operator)


def evaluate(ruleset: Ruleset, asked: Asked, context: EvalContext, entity_id: str, timestamp: str) -> Result:
    """Return the result of one flag for one entity.

    Args:
        ruleset: what to evaluate.
        asked: the flag, looked up in it.
        context: what the request says about the entity; what it says about the flag does not count.
        entity_id: the entity's id, drawn if the request names none.
        timestamp: the result's.
    """
    flag = asked.flag
    if flag is None:
        return _not_found(asked, _echo(asked, context, entity_id, None), timestamp)
    if context.enable_debug:
        result = ruleset.evaluate(flag.key, entity_id, context.entity_context, debug=True)
    else:
        # Without the entity's id, which is in the echo.
        decide = ruleset.ready.get(flag.key) or ruleset.decider(flag.key)
        result = decide(entity_id, context.entity_context)
    # By position, in the order above: by name it takes twice the time, and there are many of them.
    return Result(
        flag.id,
        flag.key,
        flag.snapshot_id,
        asked.tags,
        result.segment_id,
        result.variant_id,
        result.variant_key,
        result.variant_attachment,
        _echo(asked, context, entity_id, flag.entity_type),
        timestamp,
        result.reason,
        _debug_log(flag, result) if context.enable_debug or result.variant_key is None else UNSET,
    )


def _not_found(asked: Asked, echo: EvalContext, timestamp: str) -> Result:
    flag_id = asked.flag_id or 0
    return Result(
        flag_id=flag_id,
        flag_key=asked.flag_key or "",
        flag_snapshot_id=0,
        flag_tags=(),
        segment_id=None,
        variant_id=None,
        variant_key=None,
        variant_attachment=None,
        eval_context=echo,
        timestamp=timestamp,
        reason=Reason.FLAG_NOT_FOUND,
        eval_debug_log=DebugLog(f"flagID {flag_id} not found or deleted", []),
    )


def _echo(asked: Asked, context: EvalContext, entity_id: str, flag_entity_type: str | None) -> EvalContext:
    return EvalContext(
        entity_id,
        context.entity_type or flag_entity_type or None,
        context.entity_context,
        context.enable_debug,
        asked.flag_id,
        asked.flag_key,
        asked.flag_tags,
        asked.flag_tags_operator,
    )


def _debug_log(flag: Flag, result: EvalResult) -> DebugLog:
    logs = [SegmentMessage(log.segment_id, log.msg) for log in result.debug_logs]
    if result.reason is Reason.FLAG_DISABLED:
        return DebugLog(f"flagID {flag.id} is not enabled", logs)
    if result.reason is Reason.NO_SEGMENTS:
        return DebugLog(f"flagID {flag.id} has no segments", logs)
    return DebugLog(logs[0].msg if logs else result.message, logs)
