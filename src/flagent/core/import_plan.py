"""What importing a document would change: one edit per flag that really becomes another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from .changes import EventType, Snapshot
from .documents import Document, Entry
from .edits import Edit
from .ids import Allocator
from .model import MAX_ID, Flag, Tag
from .upsert import upserted

#: How many ids an import may pass over to give a flag the id that it has at its origin.
_MAX_SKIPPED_IDS = 100_000

_encode = msgspec.json.Encoder().encode


class ImportPlan(Struct, frozen=True):
    """The decision about a document. With errors there are no edits: it is imported whole or not at all.

    Attributes:
        edits: one for each flag that is created or updated.
        created: keys of the flags that are created.
        updated: for each flag that becomes another, by key: which of its members, in the wire's spelling.
        unchanged: keys of the flags that are as the document wants them.
        errors: everything that is wrong, each `<key>: <text>`.
    """

    edits: tuple[Edit, ...] = ()
    created: tuple[str, ...] = ()
    updated: Mapping[str, tuple[str, ...]] = {}
    unchanged: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


def plan_import(
    document: Document,
    snapshot: Snapshot,
    ids: Allocator,
    *,
    deleted_keys: Collection[str] = (),
    tags: Iterable[Tag] = (),
    actor: str | None = None,
) -> ImportPlan:
    """Return what importing `document` does to the flags of `snapshot`.

    Args:
        document: as it was read; its errors become the plan's.
        snapshot: the newest one; flags that the document does not name stay as they are.
        ids: where new ids come from.
        deleted_keys: keys that deleted flags hold; they can't be taken.
        tags: tags that exist besides those on flags of the snapshot.
        actor: who created what is created.
    """
    taken = [entry.item.key for entry in document.entries if entry.item.key in deleted_keys]
    refusals = (f"{key}: a deleted flag has this key; restore it or delete it for good" for key in taken)
    errors = (*document.errors, *refusals)
    if errors:
        return ImportPlan(errors=errors)
    known = {tag.value: tag for tag in tags}
    known |= {tag.value: tag for flag in snapshot.flags.values() for tag in flag.tags}
    flags: dict[str, Flag] = {}
    # By id at the origin, so that as many as possible get the same: ids are only ever given out upwards.
    for entry in sorted(document.entries, key=lambda entry: entry.origin_id):
        old = snapshot.flags.get(entry.item.key) or _empty(entry, ids, actor)
        flags[old.key] = upserted(entry.item, old, ids, known)
    return _compared(snapshot, flags, [entry.item.key for entry in document.entries])


def _compared(snapshot: Snapshot, flags: Mapping[str, Flag], keys: Sequence[str]) -> ImportPlan:
    """Return the plan that leads to `flags`, which are in the order of the edits; `keys` are as in the document."""
    created = tuple(key for key in keys if key not in snapshot.flags)
    updated = {key: _differences(snapshot.flags[key], flags[key]) for key in keys if key in snapshot.flags}
    edits = (
        Edit(flag, EventType.FLAG_UPDATED if key in updated else EventType.FLAG_CREATED)
        for key, flag in flags.items()
        if updated.get(key, True)
    )
    return ImportPlan(
        edits=tuple(edits),
        created=created,
        updated={key: members for key, members in updated.items() if members},
        unchanged=tuple(key for key, members in updated.items() if not members),
    )


def _empty(entry: Entry, ids: Allocator, actor: str | None) -> Flag:
    last = ids.ids.flag
    flag_id = ids.next("flag")
    if last < entry.origin_id <= min(MAX_ID, last + _MAX_SKIPPED_IDS):
        # Numbers passed over are lost, as those of deleted flags are.
        while flag_id < entry.origin_id:
            flag_id = ids.next("flag")
    return Flag(id=flag_id, key=entry.item.key, created_by=actor)


def _differences(old: Flag, new: Flag) -> tuple[str, ...]:
    # Encoded, because Python holds 1, 1.0 and true for equal and clients don't.
    if _encode(old) == _encode(new):
        return ()
    names = zip(Flag.__struct_fields__, Flag.__struct_encode_fields__, strict=True)
    return tuple(wire for name, wire in names if _encode(getattr(old, name)) != _encode(getattr(new, name)))
