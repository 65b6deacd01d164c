"""What a stream for one entity tells: results, and nothing from which a rule could be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw, Struct

from ..core.model import wire_name


class EntityResult(Struct, frozen=True, rename=wire_name):
    """What one flag is for the entity.

    Attributes:
        flag_key: key of the flag.
        flag_id: id of the flag; 0 when there is none that may be seen.
        variant_key: the variant, or null: then the flag counts as off.
        variant_attachment: the JSON object that the variant carries, or null.
        reason: why, as in `core.results.Reason`.
    """

    flag_key: str
    flag_id: int
    variant_key: str | None
    variant_attachment: dict[str, Any] | None
    reason: str


class EntityResults(Struct, frozen=True):
    """All results: `evaluations`.

    Attributes:
        revision: the cursor at which they hold.
        evaluations: one for each flag that was asked for, as it is or as it is written.
    """

    revision: str
    evaluations: Sequence[EntityResult | Raw]


class EntityUpdate(Struct, frozen=True):
    """One result that is another one now: `evaluation`.

    Attributes:
        revision: the cursor at which it holds.
        evaluation: the result.
    """

    revision: str
    evaluation: EntityResult
