"""Results of evaluations by a server, ours or Flagent's, which gives no reasons."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ..core.evaluation import EvalResult, Reason, SegmentLog
from ..core.model import wire_name
from ..errors import DecodeError, fault_of

#: How Flagent's messages end, and what that means.
_MESSAGES = {
    "not found or deleted": Reason.FLAG_NOT_FOUND,
    "is not enabled": Reason.FLAG_DISABLED,
    "has no segments": Reason.NO_SEGMENTS,
}


class _Log(Struct, rename=wire_name):
    segment_id: int
    msg: str = ""


class _DebugLog(Struct, rename=wire_name):
    msg: str = ""
    segment_debug_logs: list[_Log] | None = None


class _Context(Struct, rename=wire_name):
    entity_id: str | None = None


class _Result(Struct, rename=wire_name):
    flag_id: int = 0
    flag_key: str = ""
    flag_snapshot_id: int = 0
    segment_id: int | None = None
    variant_id: int | None = None
    variant_key: str | None = None
    variant_attachment: dict[str, Any] | None = None
    eval_context: _Context | None = None
    eval_debug_log: _DebugLog | None = None
    reason: str | None = None


class _Batch(Struct, rename=wire_name):
    evaluation_results: list[_Result]


def decode_result(body: bytes) -> EvalResult:
    """Return one result.

    Raises:
        DecodeError: it is none.
    """
    try:
        return _result(msgspec.json.decode(body, type=_Result))
    except (ValueError, RecursionError) as exc:
        raise DecodeError(f"the answer is no result of an evaluation: {fault_of(exc)}") from exc


def decode_batch(body: bytes) -> list[EvalResult]:
    """Return the results of a batch, in order.

    Raises:
        DecodeError: there are none.
    """
    try:
        return [_result(each) for each in msgspec.json.decode(body, type=_Batch).evaluation_results]
    except (ValueError, RecursionError) as exc:
        raise DecodeError(f"the answer has no results of evaluations: {fault_of(exc)}") from exc


def _result(said: _Result) -> EvalResult:
    log = said.eval_debug_log or _DebugLog()
    return EvalResult(
        flag_key=said.flag_key,
        reason=_reason(said, log.msg),
        flag_id=said.flag_id,
        flag_snapshot_id=said.flag_snapshot_id,
        entity_id=(said.eval_context or _Context()).entity_id or "",
        # An empty key is Flagent's other way to say that there is none.
        variant_key=said.variant_key or None,
        variant_id=said.variant_id or None,
        variant_attachment=said.variant_attachment,
        segment_id=said.segment_id,
        debug_logs=tuple(SegmentLog(each.segment_id, each.msg) for each in log.segment_debug_logs or ()),
        message=log.msg,
    )


def _reason(said: _Result, message: str) -> Reason:
    if said.reason is not None and said.reason in Reason.__members__:
        return Reason(said.reason)
    if said.variant_key:
        return Reason.MATCH
    return next((reason for end, reason in _MESSAGES.items() if message.endswith(end)), Reason.NO_MATCH)
