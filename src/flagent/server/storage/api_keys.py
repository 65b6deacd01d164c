"""API keys in SQL. They are no flags: a key leaves no entry in the change log.

Blocking functions on a connection that is in a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from ..keys import Key, KeyKind
from .schema import api_key


def keys(connection: sa.Connection) -> list[Key]:
    """Return all keys, also those that open nothing any more, by id."""
    rows = connection.execute(sa.select(api_key).order_by(api_key.c.id))
    return [
        Key(
            id=row.id,
            name=row.name,
            kind=KeyKind(row.kind),
            digest=row.digest,
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            last_used_at=row.last_used_at,
        )
        for row in rows
    ]


def create(
    connection: sa.Connection, name: str, kind: KeyKind, digest: str, created_at: int, expires_at: int | None
) -> int:
    """Store a key and return its id."""
    result = connection.execute(
        api_key.insert().values(name=name, kind=kind.value, digest=digest, created_at=created_at, expires_at=expires_at)
    )
    (key_id,) = result.inserted_primary_key or (0,)
    return int(key_id)


def revoke(connection: sa.Connection, key_id: int, at_ms: int) -> bool:
    """Revoke a key; return False if there is none of that id. A revoked key keeps its moment."""
    found = connection.execute(sa.select(api_key.c.id).where(api_key.c.id == key_id)).first()
    if found is None:
        return False
    still_open = (api_key.c.id == key_id) & api_key.c.revoked_at.is_(None)
    connection.execute(api_key.update().where(still_open).values(revoked_at=at_ms))
    return True


def touch(connection: sa.Connection, used_at: Mapping[int, int]) -> None:
    """Note when keys were used; a later moment that another process noted stays."""
    for key_id, at_ms in used_at.items():
        earlier = api_key.c.last_used_at.is_(None) | (api_key.c.last_used_at < at_ms)
        connection.execute(api_key.update().where((api_key.c.id == key_id) & earlier).values(last_used_at=at_ms))
