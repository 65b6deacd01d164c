"""What an evaluation answers."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct


class Reason(StrEnum):
    """Why an evaluation came out as it did."""

    #: A segment took the entity in, and its distribution gave a variant.
    MATCH = "MATCH"
    #: No segment took the entity in.
    NO_MATCH = "NO_MATCH"
    #: There is no flag of that key or id.
    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    #: The flag is switched off.
    FLAG_DISABLED = "FLAG_DISABLED"
    #: The flag has nothing to decide with.
    NO_SEGMENTS = "NO_SEGMENTS"
    #: There is no snapshot to evaluate on yet.
    NOT_READY = "NOT_READY"
    #: The arguments could not be evaluated; `message` of the result says what was wrong with them.
    ERROR = "ERROR"


class SegmentLog(Struct, frozen=True, gc=False):
    """What one segment had to say, in Flagent's words."""

    segment_id: int
    msg: str


class EvalResult(Struct, frozen=True, gc=False):
    """The answer to one evaluation.

    Attributes:
        flag_key: key of the flag, as asked for when there is no such flag.
        reason: why.
        flag_id: id of the flag; as asked for, else 0, when there is no such flag.
        flag_snapshot_id: Flagent's number of the flag's state; 0 when there is no such flag.
        entity_id: who was evaluated.
        variant_key: key of the variant, or None: then the flag counts as off.
        variant_id: id of the variant, or None.
        variant_attachment: the JSON object that the variant carries, or None.
        segment_id: the segment that matched, or None.
        debug_logs: what each segment said, with `debug` only.
        message: one sentence on why there is no variant, in Flagent's words; may be empty.
    """

    flag_key: str
    reason: Reason
    flag_id: int = 0
    flag_snapshot_id: int = 0
    entity_id: str = ""
    variant_key: str | None = None
    variant_id: int | None = None
    variant_attachment: dict[str, Any] | None = None
    segment_id: int | None = None
    debug_logs: tuple[SegmentLog, ...] = ()
    message: str = ""

    def is_enabled(self) -> bool:
        """Return whether there is a variant."""
        return self.variant_key is not None

    def get_attachment_value(self, key: str, default: Any = None) -> Any:
        """Return a member of the variant's attachment, or `default` when there is none of that name."""
        return default if self.variant_attachment is None else self.variant_attachment.get(key, default)
