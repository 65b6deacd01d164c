"""What is kept beside the snapshot, in SQL: deleted flags, the history, all tags and entity types.

Blocking functions on a connection that is in a transaction. Only the REST routes ask for these;
whatever must be fast is answered from the hub's memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from ...core.changes import Change
from ...core.model import Flag, Tag
from .log import change_of, decode_flag
from .schema import change_log, entity_type, flag, tag

#: Keys in one query; the oldest SQLite takes 999 parameters.
_PARAMETERS = 500


def deleted_flags(connection: sa.Connection) -> list[Flag]:
    """Return all flags that can be restored, as they were."""
    rows = connection.execute(sa.select(flag.c.id, flag.c.body).where(flag.c.deleted))
    return [decode_flag(body, f"flag {flag_id}") for flag_id, body in rows]


def deleted_flag(connection: sa.Connection, flag_id: int) -> Flag | None:
    """Return the deleted flag of that id as it was, or None."""
    body = connection.execute(sa.select(flag.c.body).where(flag.c.id == flag_id, flag.c.deleted)).scalar()
    return None if body is None else decode_flag(body, f"flag {flag_id}")


def deleted_owners(connection: sa.Connection, keys: Sequence[str]) -> dict[str, int]:
    """Return the ids of the deleted flags that still hold some of these keys, by key."""
    owners: dict[str, int] = {}
    for begin in range(0, len(keys), _PARAMETERS):
        some = keys[begin : begin + _PARAMETERS]
        rows = connection.execute(sa.select(flag.c.key, flag.c.id).where(flag.c.key.in_(some), flag.c.deleted))
        owners.update((row.key, row.id) for row in rows)
    return owners


def history(connection: sa.Connection, flag_id: int, *, newest_first: bool, limit: int, offset: int) -> list[Change]:
    """Return the changes of a flag that carry it; deletions do not."""
    order = change_log.c.revision.desc() if newest_first else change_log.c.revision
    rows = connection.execute(
        sa.select(change_log)
        .where(change_log.c.flag_id == flag_id, change_log.c.flag.is_not(None))
        .order_by(order)
        .limit(limit)
        .offset(offset)
    )
    return [change_of(row) for row in rows]


def tags(connection: sa.Connection, *, value_like: str | None, limit: int | None, offset: int) -> list[Tag]:
    """Return the tags that were ever attached to a flag, by id; `value_like` is a part of the value in any case."""
    query = sa.select(tag.c.id, tag.c.value).order_by(tag.c.id).limit(limit).offset(offset)
    if value_like is not None:
        query = query.where(tag.c.value.icontains(value_like, autoescape=True))
    return [Tag(tag_id, value) for tag_id, value in connection.execute(query)]


def tag_of(connection: sa.Connection, value: str) -> Tag | None:
    """Return the tag that has exactly this value, or None."""
    row = connection.execute(sa.select(tag.c.id, tag.c.value).where(tag.c.value == value)).one_or_none()
    return None if row is None else Tag(row.id, row.value)


def entity_types(connection: sa.Connection) -> list[str]:
    """Return every entity type that a flag ever had."""
    return list(connection.execute(sa.select(entity_type.c.key).order_by(entity_type.c.key)).scalars())
