"""The SQLite export: flags, deleted flags and their history in the tables that Flagent and openflagr have.

The rows come from the change log alone, read up to one revision, so they fit together whatever
happens meanwhile. It is read page by page and written to a temporary file on threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import sqlalchemy as sa
from msgspec import Struct

from ..core.changes import Change
from ..core.model import Flag
from ..wire.codec import View, encode_flag
from . import sqlite_tables as tables
from .storage import Storage

#: A part of a flag: what it is, and its id.
_Part = tuple[str, int]


async def sqlite_export(storage: Storage, revision: int, *, snapshots: bool = True) -> BinaryIO:
    """Write what the log says up to `revision`, and return the file, open at its begin; it has no name any more.

    Args:
        storage: where the log is.
        revision: of the last change to export.
        snapshots: whether the history goes along.
    """
    directory = await asyncio.to_thread(TemporaryDirectory, prefix="flagent-export-")
    try:
        path = Path(directory.name, "export.sqlite")
        await _write(path, storage, revision, snapshots)
        return await asyncio.to_thread(path.open, "rb")
    finally:
        # The open file stays readable, and whatever happens to the request, nothing is left behind.
        await asyncio.to_thread(directory.cleanup)


async def _write(path: Path, storage: Storage, revision: int, snapshots: bool) -> None:
    engine = sa.create_engine(f"sqlite+pysqlite:///{path}", poolclass=sa.NullPool)
    await asyncio.to_thread(tables.metadata.create_all, engine)
    replay, after = _Replay(), 0
    while after < revision:
        changes = [change for change in await storage.changes_after(after) if change.revision <= revision]
        if not changes:
            break
        await asyncio.to_thread(_take, engine, replay, changes, snapshots)
        after = changes[-1].revision
    await asyncio.to_thread(_finish, engine, replay, snapshots)


def _take(engine: sa.Engine, replay: _Replay, changes: Sequence[Change], snapshots: bool) -> None:
    for change in changes:
        replay.take(change)
    if snapshots:
        with engine.begin() as connection:
            _insert(connection, tables.flag_snapshots, _snapshot_rows(changes))


def _finish(engine: sa.Engine, replay: _Replay, snapshots: bool) -> None:
    with engine.begin() as connection:
        for table, rows in replay.rows(snapshots):
            _insert(connection, table, rows)


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    listed = list(rows)
    if listed:
        connection.execute(table.insert(), listed)


def _snapshot_rows(changes: Iterable[Change]) -> Iterator[dict[str, Any]]:
    for change in changes:
        if change.flag is not None:
            yield {
                "id": change.revision,
                "flag_id": change.flag_id,
                "updated_by": change.actor,
                "flag": encode_flag(change.flag, View.COMPATIBLE).decode(),
                "created_at": _moment(change.timestamp),
                "updated_at": _moment(change.timestamp),
            }


class _Dates(Struct):
    """When a part was first and last seen to change, in milliseconds since 1970, and as what it was last seen."""

    created: int
    updated: int
    value: object


class _Replay:
    """The state that the log leads to, with the dates that only the log knows."""

    def __init__(self) -> None:
        self._flags: dict[int, Flag] = {}
        self._deleted: dict[int, int] = {}
        self._dates: dict[_Part, _Dates] = {}
        self._tags: dict[int, str] = {}
        self._entity_types: dict[str, int] = {}

    def take(self, change: Change) -> None:
        flag = change.flag
        if flag is None:
            if change.data.get("permanent") == "true":
                self._flags.pop(change.flag_id, None)
            else:
                self._deleted[change.flag_id] = change.timestamp
            return
        self._flags[flag.id] = flag
        self._deleted.pop(flag.id, None)
        if flag.entity_type:
            self._entity_types.setdefault(flag.entity_type, change.timestamp)
        for part, value in _parts(flag):
            dates = self._dates.setdefault(part, _Dates(change.timestamp, change.timestamp, value))
            if dates.value != value:
                dates.updated, dates.value = change.timestamp, value
        self._tags |= {tag.id: tag.value for tag in flag.tags}

    def rows(self, snapshots: bool) -> Iterator[tuple[sa.Table, list[dict[str, Any]]]]:
        flags = [self._flags[flag_id] for flag_id in sorted(self._flags)]
        yield tables.flags, [self._flag_row(flag, snapshots) for flag in flags]
        yield tables.segments, [row for flag in flags for row in self._segment_rows(flag)]
        yield tables.variants, [row for flag in flags for row in self._variant_rows(flag)]
        yield tables.constraints, [row for flag in flags for row in self._constraint_rows(flag)]
        yield tables.distributions, [row for flag in flags for row in self._distribution_rows(flag)]
        yield tables.tags, [self._row("tag", tag_id, value=self._tags[tag_id]) for tag_id in sorted(self._tags)]
        attached = [(flag.id, tag.id) for flag in flags for tag in flag.tags]
        yield (
            tables.flags_tags,
            [{"id": number, "flag_id": a, "tag_id": b} for number, (a, b) in enumerate(attached, 1)],
        )
        yield (
            tables.flag_entity_types,
            [
                {"id": number, "key": key, "created_at": _moment(at), "updated_at": _moment(at)}
                for number, (key, at) in enumerate(self._entity_types.items(), 1)
            ],
        )

    def _flag_row(self, flag: Flag, snapshots: bool) -> dict[str, Any]:
        deleted = self._deleted.get(flag.id)
        return self._row(
            "flag",
            flag.id,
            key=flag.key,
            description=flag.description,
            created_by=flag.created_by,
            updated_by=flag.updated_by,
            enabled=flag.enabled,
            snapshot_id=flag.snapshot_id if snapshots else 0,
            notes=flag.notes,
            data_records_enabled=flag.data_records_enabled,
            entity_type=flag.entity_type,
        ) | {"deleted_at": None if deleted is None else _moment(deleted)}

    def _segment_rows(self, flag: Flag) -> Iterator[dict[str, Any]]:
        for segment in flag.segments:
            yield self._row(
                "segment",
                segment.id,
                flag_id=flag.id,
                description=segment.description,
                rank=segment.rank,
                rollout_percent=segment.rollout_percent,
            )

    def _variant_rows(self, flag: Flag) -> Iterator[dict[str, Any]]:
        for variant in flag.variants:
            yield self._row(
                "variant", variant.id, flag_id=flag.id, key=variant.key, attachment=tables.json_text(variant.attachment)
            )

    def _constraint_rows(self, flag: Flag) -> Iterator[dict[str, Any]]:
        for segment in flag.segments:
            for each in segment.constraints:
                yield self._row(
                    "constraint",
                    each.id,
                    segment_id=segment.id,
                    property=each.property,
                    operator=each.operator,
                    value=each.value,
                )

    def _distribution_rows(self, flag: Flag) -> Iterator[dict[str, Any]]:
        for segment in flag.segments:
            for each in segment.distributions:
                yield self._row(
                    "distribution",
                    each.id,
                    segment_id=segment.id,
                    variant_id=each.variant_id,
                    variant_key=each.variant_key,
                    percent=each.percent,
                )

    def _row(self, kind: str, part_id: int, **columns: Any) -> dict[str, Any]:
        dates = self._dates[kind, part_id]
        return {"id": part_id, **columns, "created_at": _moment(dates.created), "updated_at": _moment(dates.updated)}


def _parts(flag: Flag) -> Iterator[tuple[_Part, object]]:
    # The revision makes any two states of a flag differ, as they should.
    yield ("flag", flag.id), flag.revision
    for segment in flag.segments:
        yield ("segment", segment.id), (segment.description, segment.rank, segment.rollout_percent)
        for constraint in segment.constraints:
            yield ("constraint", constraint.id), constraint
        for distribution in segment.distributions:
            yield ("distribution", distribution.id), distribution
    for variant in flag.variants:
        yield ("variant", variant.id), variant
    for tag in flag.tags:
        yield ("tag", tag.id), tag.value


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC).replace(tzinfo=None, microsecond=at_ms % 1000 * 1000)
