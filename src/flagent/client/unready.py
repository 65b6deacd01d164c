"""The result of an evaluation before there is a snapshot; managers that are ready, or never asked, do without it."""

from __future__ import annotations

from ..core.results import EvalResult, Reason
from ..core.texts import text


def not_ready(flag_key: object, flag_id: int, entity_id: object) -> EvalResult:
    """Return the result `NOT_READY`, whatever was asked."""
    return EvalResult(
        flag_key=text(flag_key) or "",
        reason=Reason.NOT_READY,
        flag_id=flag_id,
        entity_id=text(entity_id) or "",
        message="there is no snapshot yet: bootstrap() loads one",
    )
