"""The change log in SQL: append to it, read it, load the state it leads to.

Blocking functions on a connection that is in a transaction; the same text runs on every engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from ...core.changes import Change, Cursor, EventType, FlagRef, Snapshot, digest_text
from ...core.ids import Ids
from ...core.model import Flag
from ...errors import Diverged, StorageUnavailable
from .schema import change_log, entity_type, flag, log_head, tag

#: How many deletions and renames a start brings back for readers that resume.
MAX_TOMBSTONES = 10_000

_ID_COLUMNS = tuple(f"{kind}_id" for kind in Ids.__struct_fields__)

_encode = msgspec.json.Encoder().encode
_decode_flag = msgspec.json.Decoder(Flag).decode
_decode_data = msgspec.json.Decoder(dict[str, str]).decode

# The statements of every write and of the tail are built once: building one takes as long as running it.
_advance = (
    log_head.update()
    .where(log_head.c.epoch == sa.bindparam("at_epoch"), log_head.c.revision == sa.bindparam("at_revision"))
    .values({name: sa.bindparam(name) for name in ("revision", *_ID_COLUMNS)})
)
_insert_change = change_log.insert()
_this_flag = flag.c.id == sa.bindparam("flag_id")
_insert_flag = flag.insert()
_update_flag = flag.update().where(_this_flag).values({name: sa.bindparam(name) for name in ("key", "deleted", "body")})
# Mostly the key stays what it is; its index would be written all the same if it were set.
_update_body = flag.update().where(_this_flag, ~flag.c.deleted).values(body=sa.bindparam("body"))
_mark_deleted = flag.update().where(_this_flag).values(deleted=True)
_delete_flag = flag.delete().where(_this_flag)
_select_changes = (
    sa.select(change_log)
    .where(change_log.c.revision > sa.bindparam("after"))
    .order_by(change_log.c.revision)
    .limit(sa.bindparam("page"))
)

_select_head = sa.select(log_head.c.epoch, log_head.c.revision)
_select_first_since = sa.select(sa.func.min(change_log.c.revision)).where(change_log.c.at_ms >= sa.bindparam("at_ms"))
_select_oldest = sa.select(change_log.c.revision, change_log.c.at_ms).order_by(change_log.c.revision).limit(1)


class Stored(Struct, frozen=True):
    """What a server starts from.

    Attributes:
        snapshot: the newest state.
        ids: the largest ids ever given out.
        tombstones: what left the snapshot at which revision, in order; the newest `MAX_TOMBSTONES`.
        tombstones_since: readers from this revision on miss none; older ones need a snapshot.
    """

    snapshot: Snapshot
    ids: Ids
    tombstones: tuple[tuple[int, FlagRef], ...] = ()
    tombstones_since: int = 0


class Overtaken(StorageUnavailable):
    """Another writer took the revision; nothing was written, and the edit has to be decided anew."""


class Since(NamedTuple):
    """Where the changes since a moment are in the log.

    Attributes:
        after: the revision before the first of them.
        oldest: the oldest revision that the log has.
        begins_at: when that was, in milliseconds since 1970; None for an empty log.
        head: the newest cursor.
    """

    after: int
    oldest: int
    begins_at: int | None
    head: Cursor


def create_head(connection: sa.Connection, epoch: str) -> str:
    """Begin an empty log under the name `epoch`, unless there is one; return the name of the log that is there."""
    existing = connection.execute(sa.select(log_head.c.epoch)).scalar()
    if existing is not None:
        return str(existing)
    connection.execute(log_head.insert().values(epoch=epoch, revision=0, **_id_columns(Ids())))
    return epoch


def lock_head(connection: sa.Connection) -> int:
    """Keep other writers from appending until the transaction ends; return the newest revision."""
    return int(connection.execute(sa.select(log_head.c.revision).with_for_update()).scalar_one())


def load(connection: sa.Connection) -> Stored:
    """Return the newest state; all of it is of one revision."""
    head = connection.execute(sa.select(log_head)).one()
    bodies = connection.execute(sa.select(flag.c.id, flag.c.body).where(~flag.c.deleted).order_by(flag.c.id))
    flags = [decode_flag(body, f"flag {flag_id}") for flag_id, body in bodies]
    gone = connection.execute(
        sa.select(change_log.c.revision, change_log.c.flag_id, change_log.c.flag_key, change_log.c.previous_key)
        .where(change_log.c.flag.is_(None) | change_log.c.previous_key.is_not(None))
        .order_by(change_log.c.revision.desc())
        .limit(MAX_TOMBSTONES)
    )
    tombstones = tuple((row.revision, FlagRef(row.flag_id, row.previous_key or row.flag_key)) for row in gone)[::-1]
    oldest = connection.execute(_select_oldest).first()
    begins_at = head.revision if oldest is None else oldest.revision - 1
    return Stored(
        snapshot=Snapshot.of(head.epoch, head.revision, flags),
        ids=Ids(**{kind: getattr(head, f"{kind}_id") for kind in Ids.__struct_fields__}),
        tombstones=tombstones,
        # With fewer than the limit these are all that there were since the log begins, which may have been cut off.
        tombstones_since=tombstones[0][0] - 1 if len(tombstones) == MAX_TOMBSTONES else begins_at,
    )


def append(connection: sa.Connection, epoch: str, changes: Sequence[Change], ids: Ids) -> None:
    """Write `changes`, which must follow the newest revision of the log `epoch`, and the state after them.

    Raises:
        Overtaken: another writer took the revision.
    """
    before = changes[0].revision - 1
    # One counter row, locked until commit, and not a sequence: a sequence hands out numbers in an
    # order that commits do not keep, and a reader at 7 would miss a 6 that comes late.
    done = connection.execute(
        _advance,
        {"at_epoch": epoch, "at_revision": before, "revision": changes[-1].revision, **_id_columns(ids)},
    )
    if done.rowcount != 1:
        raise Overtaken(f"revision {before} is not the newest any more")
    rows = [_row(change) for change in changes]
    connection.execute(_insert_change, rows)
    for change, row in zip(changes, rows, strict=True):
        _store(connection, change, row["flag"])
    _register(connection, [change.flag for change in changes if change.flag is not None])


def changes_after(connection: sa.Connection, epoch: str, revision: int, limit: int) -> list[Change]:
    """Return the changes of the log `epoch` that follow `revision`, at most `limit` of them.

    Raises:
        Diverged: the database holds another log by now, or one that has lost its end: it was restored. Or the log has
            lost what follows `revision`: somebody wanted the space.
    """
    rows = connection.execute(_select_changes, {"after": revision, "page": limit}).all()
    # The transaction sees one state, so the head is that of the rows.
    head = connection.execute(_select_head).one()
    if head.epoch != epoch or head.revision < revision:
        raise Diverged(f"the log is at {head.epoch}:{head.revision}, not after {epoch}:{revision}")
    if head.revision > revision and (not rows or rows[0].revision != revision + 1):
        raise Diverged(f"the log of {epoch} does not reach back to {revision} any more")
    return [change_of(row) for row in rows]


def since(connection: sa.Connection, at_ms: int) -> Since:
    """Return where the changes since a moment are; clocks that were set back make it look back farther."""
    head = connection.execute(_select_head).one()
    first = connection.execute(_select_first_since, {"at_ms": at_ms}).scalar()
    oldest = connection.execute(_select_oldest).first()
    return Since(
        after=head.revision if first is None else first - 1,
        oldest=head.revision + 1 if oldest is None else oldest.revision,
        # Whoever asks for a moment after the oldest change misses none of those that are gone.
        begins_at=None if oldest is None or oldest.at_ms <= at_ms else oldest.at_ms,
        head=Cursor(head.epoch, head.revision),
    )


def renew(connection: sa.Connection, epoch: str) -> str:
    """Give the log another name; return the one before."""
    before = str(connection.execute(sa.select(log_head.c.epoch).with_for_update()).scalar_one())
    connection.execute(log_head.update().values(epoch=epoch))
    return before


def change_of(row: sa.Row[Any]) -> Change:
    """Return the change that a row of `change_log` holds."""
    where = f"change {row.revision}"
    try:
        event_type, data = EventType(row.type), _decode_data(row.data)
    except ValueError as exc:
        raise StorageUnavailable(f"{where} can't be read: {exc}") from exc
    return Change(
        revision=row.revision,
        type=event_type,
        flag_id=row.flag_id,
        flag_key=row.flag_key,
        flag=None if row.flag is None else decode_flag(row.flag, where),
        previous_key=row.previous_key,
        data=data,
        timestamp=row.at_ms,
        digest=int(row.digest, 16),
        actor=row.actor,
    )


def decode_flag(body: str, where: str) -> Flag:
    """Return the flag that a text column holds.

    Raises:
        StorageUnavailable: something else has been at it; `where` names the place.
    """
    try:
        return _decode_flag(body)
    except ValueError as exc:
        raise StorageUnavailable(f"{where} can't be read: {exc}") from exc


def _row(change: Change) -> dict[str, Any]:
    return {
        "revision": change.revision,
        "at_ms": change.timestamp,
        "actor": change.actor,
        "type": change.type.value,
        "flag_id": change.flag_id,
        "flag_key": change.flag_key,
        "previous_key": change.previous_key,
        "data": _encode(change.data).decode(),
        "digest": digest_text(change.digest),
        "flag": None if change.flag is None else _encode(change.flag).decode(),
    }


def _store(connection: sa.Connection, change: Change, body: str | None) -> None:
    this = {"flag_id": change.flag_id}
    if body is None:
        # A flag that can be restored stays as it was, with a mark; its key stays taken.
        connection.execute(_delete_flag if change.data.get("permanent") == "true" else _mark_deleted, this)
        return
    if change.previous_key is None and connection.execute(_update_body, {"body": body} | this).rowcount:
        return
    values = {"key": change.flag_key, "deleted": False, "body": body}
    if connection.execute(_update_flag, values | this).rowcount == 0:
        connection.execute(_insert_flag, values | {"id": change.flag_id})


def _register(connection: sa.Connection, flags: Sequence[Flag]) -> None:
    tags = {each.id: {"id": each.id, "value": each.value} for carrier in flags for each in carrier.tags}
    _insert_missing(connection, tag.c.id, tags)
    entity_types = {each.entity_type: {"key": each.entity_type} for each in flags if each.entity_type}
    _insert_missing(connection, entity_type.c.key, entity_types)


def _insert_missing(connection: sa.Connection, column: sa.Column[Any], rows: Mapping[Any, Mapping[str, Any]]) -> None:
    if not rows:
        return
    present = set(connection.execute(sa.select(column).where(column.in_(rows))).scalars())
    missing = [row for value, row in rows.items() if value not in present]
    if missing:
        connection.execute(column.table.insert(), missing)


def _id_columns(ids: Ids) -> dict[str, int]:
    return {f"{kind}_id": number for kind, number in msgspec.structs.asdict(ids).items()}
