"""What a batch of evaluations is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class EvalRequest:
    """One evaluation of a batch: which flag, by key or by id, for whom.

    Attributes:
        flag_key: key of the flag.
        flag_id: id of the flag, for when there is no key.
        entity_id: who is evaluated.
        entity_context: what constraints look at.
        debug: whether the result says what each segment decided.
        entity_type: kind of the entity, which a server records; None for the flag's own.
    """

    flag_key: str | None = None
    flag_id: int | None = None
    entity_id: str = ""
    entity_context: Mapping[str, Any] | None = None
    debug: bool = False
    entity_type: str | None = None
