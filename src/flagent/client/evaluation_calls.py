"""The calls of the REST API that evaluate, and those that ask for everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .address import API, EXPORT_PATH
from .call import FULL, Call, json_body, replies, with_query

if TYPE_CHECKING:
    from ..core.changes import Snapshot
    from ..core.evaluation import EvalResult
    from ..core.model import Entity


def health() -> Call[str]:
    """Return what the server says of its health: `OK`."""
    return Call("GET", f"{API}/health", replies.health)


def snapshot() -> Call[Snapshot]:
    """Return all flags as they are now."""
    return Call("GET", with_query(EXPORT_PATH, FULL), replies.snapshot)


def evaluate(
    flag_key: str | None,
    entity_id: str,
    entity_context: Mapping[str, Any] | None = None,
    *,
    flag_id: int | None = None,
    entity_type: str | None = None,
    debug: bool = False,
) -> Call[EvalResult]:
    """Return what a flag is for an entity, evaluated by the server.

    Args:
        flag_key: key of the flag; None when `flag_id` is given.
        entity_id: who is evaluated.
        entity_context: properties that constraints look at.
        flag_id: id of the flag, for when there is no key.
        entity_type: kind of the entity; None for the flag's own.
        debug: whether the result says what each segment decided.
    """
    body = json_body(
        flagKey=flag_key,
        flagID=flag_id,
        entityID=entity_id,
        entityType=entity_type,
        entityContext=entity_context,
        enableDebug=debug,
    )
    return Call("POST", f"{API}/evaluation", replies.result, body)


def evaluate_batch(
    entities: Iterable[Entity],
    *,
    flag_keys: Iterable[str] | None = None,
    flag_ids: Iterable[int] | None = None,
    flag_tags: Iterable[str] | None = None,
    every_tag: bool = False,
    debug: bool = False,
) -> Call[list[EvalResult]]:
    """Return what several flags are for several entities, entity by entity, evaluated by the server.

    Args:
        entities: who is evaluated.
        flag_keys: keys of flags.
        flag_ids: ids of flags.
        flag_tags: evaluate flags that have one of these tags.
        every_tag: evaluate flags that have all of `flag_tags` instead.
        debug: whether results say what each segment decided.
    """
    body = json_body(
        entities=[_members(entity) for entity in entities],
        flagKeys=None if flag_keys is None else list(flag_keys),
        flagIDs=None if flag_ids is None else list(flag_ids),
        flagTags=None if flag_tags is None else list(flag_tags),
        flagTagsOperator=None if flag_tags is None else "ALL" if every_tag else "ANY",
        enableDebug=debug,
    )
    return Call("POST", f"{API}/evaluation/batch", replies.results, body)


def _members(entity: Entity) -> dict[str, Any]:
    # Loaded by whoever has an entity.
    from msgspec.structs import asdict

    from ..core.model import wire_name

    members = asdict(entity)
    return {wire_name(name): value for name, value in members.items() if value is not None}
