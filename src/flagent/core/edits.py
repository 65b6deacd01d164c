"""Edits of a flag: what it looks like afterwards, and what kind of change that is.

Pure functions from a flag to an `Edit`, each naming its event type; `segment_edits` and
`variant_edits` hold those of the parts. They check what they bring in (`validation`), so an
accepted edit is a valid one. That keys are distinct among flags is the editor's business, which
alone sees all of them, and `stamp` turns edits into changes of the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..errors import InvalidFlag
from . import validation
from .changes import Change, Cursor, Delta, EventType, FlagRef, Snapshot, flag_hash
from .ids import Allocator
from .model import Distribution, Flag, Segment, Tag, Variant, wire_name

#: The one template of Flagent: one segment that gives everybody the variant `on`.
SIMPLE_BOOLEAN_FLAG = "simple_boolean_flag"

_encode = msgspec.json.Encoder().encode


class Edit(Struct, frozen=True):
    """What a flag becomes, and which event announces it.

    Attributes:
        flag: the flag after the edit, not yet stamped; as it was, when the edit deletes it.
        type: what happens.
        data: Flagent's extra members of the event.
    """

    flag: Flag
    type: EventType
    data: dict[str, str] = {}


class FlagPatch(Struct, frozen=True, rename=wire_name):
    """New values for members of a flag; None leaves one as it is, an empty `entity_type` takes it away."""

    key: str | None = None
    description: str | None = None
    enabled: bool | None = None
    data_records_enabled: bool | None = None
    entity_type: str | None = None
    notes: str | None = None
    rollout: str | None = None
    client_visible: bool | None = None


def stamp(
    snapshot: Snapshot, edits: Sequence[Edit], *, actor: str | None, now_ms: int
) -> tuple[list[Change], Snapshot]:
    """Return the changes that follow `snapshot`, and the snapshot after them.

    An edit that changes nothing makes no change: readers would be woken for the state they have.
    """
    changes: list[Change] = []
    # Kept beside the snapshot, whose next state costs a copy: a batch shall cost one copy and not one each.
    touched: dict[int, Flag | None] = {}
    digest = snapshot.digest
    for edit in edits:
        flag_id, deletes = edit.flag.id, edit.type is EventType.FLAG_DELETED
        old = touched[flag_id] if flag_id in touched else snapshot.by_id(flag_id)
        # The encoded form is compared, because Python holds 1, 1.0 and true for equal and clients don't.
        if old is not None and not deletes and _encode(old) == _encode(edit.flag):
            continue
        revision = snapshot.revision + len(changes) + 1
        flag = None if deletes else _stamped(edit.flag, revision, actor, now_ms)
        digest = (digest - _hash(old) + _hash(flag)) % 2**64
        touched[flag_id] = flag
        changes.append(
            Change(
                revision=revision,
                type=edit.type,
                flag_id=flag_id,
                flag_key=edit.flag.key,
                flag=flag,
                previous_key=None if old is None or old.key == edit.flag.key else old.key,
                data=edit.data,
                timestamp=now_ms,
                digest=digest,
                actor=actor,
            )
        )
    return changes, _after(snapshot, changes, touched)


def create_flag(
    ids: Allocator, *, key: str, description: str, template: str | None = None, actor: str | None = None
) -> Edit:
    """Make a flag, disabled; with the template it gives everybody the variant `on` once it is enabled."""
    validation.check_key(key)
    if template not in (None, SIMPLE_BOOLEAN_FLAG):
        raise InvalidFlag(f"template: {template!r} is not known, {SIMPLE_BOOLEAN_FLAG!r} is the only one")
    flag = Flag(id=ids.next("flag"), key=key, description=description, created_by=actor)
    return Edit(flag if template is None else _simple_boolean(flag, ids), EventType.FLAG_CREATED)


def duplicate_flag(
    flag: Flag, ids: Allocator, *, key: str, description: str | None = None, actor: str | None = None
) -> Edit:
    """Make a disabled copy of `flag` under another key, every part of it with an id of its own."""
    validation.check_key(key)
    flag_id = ids.next("flag")
    variants = {variant.id: replace(variant, id=ids.next("variant"), flag_id=flag_id) for variant in flag.variants}
    new_ids = {old: variant.id for old, variant in variants.items()}
    copy = replace(
        flag,
        id=flag_id,
        key=key,
        description=flag.description if description is None else description,
        enabled=False,
        created_by=actor,
        segments=tuple(_copied(segment, flag_id, new_ids, ids) for segment in flag.segments),
        variants=tuple(variants.values()),
    )
    return Edit(copy, EventType.FLAG_CREATED)


def update_flag(flag: Flag, patch: FlagPatch) -> Edit:
    """Set the members that the patch names."""
    values = {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not None}
    if patch.key is not None:
        validation.check_key(patch.key)
    if patch.entity_type == "":
        values["entity_type"] = None
    elif patch.entity_type is not None:
        validation.check_key(patch.entity_type, "entityType")
    if patch.rollout is not None:
        validation.check_rollout(patch.rollout)
    return Edit(replace(flag, **values), EventType.FLAG_UPDATED)


def enable_flag(flag: Flag, enabled: bool) -> Edit:
    """Switch the flag on or off."""
    return Edit(replace(flag, enabled=enabled), EventType.FLAG_TOGGLED, {"enabled": "true" if enabled else "false"})


def delete_flag(flag: Flag, *, permanent: bool = False) -> Edit:
    """Delete the flag; a permanent deletion can't be undone and frees the key.

    The event says which, so that a replay of the log leads to the same stored flags.
    """
    return Edit(flag, EventType.FLAG_DELETED, {"permanent": "true"} if permanent else {})


def restore_flag(flag: Flag) -> Edit:
    """Bring a deleted flag back as it was."""
    return Edit(flag, EventType.FLAG_UPDATED)


def attach_tag(flag: Flag, value: str, tag: Tag | None, ids: Allocator) -> Edit:
    """Attach the tag of that value; `tag` is the one that has the value already, on whatever flag."""
    validation.check_tag(value)
    if any(attached.value == value for attached in flag.tags):
        return Edit(flag, EventType.FLAG_UPDATED)
    tags = (*flag.tags, tag or Tag(ids.next("tag"), value))
    return Edit(replace(flag, tags=tuple(sorted(tags, key=lambda tag: tag.id))), EventType.FLAG_UPDATED)


def detach_tag(flag: Flag, tag_id: int) -> Edit:
    """Take the tag away, if it is attached."""
    return Edit(replace(flag, tags=tuple(tag for tag in flag.tags if tag.id != tag_id)), EventType.FLAG_UPDATED)


def time_text(at_ms: int) -> str:
    """Return the wire form of a moment, with exactly three decimals: Swift's parser knows no other number."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _hash(flag: Flag | None) -> int:
    return 0 if flag is None else flag_hash(flag)


def _after(snapshot: Snapshot, changes: Sequence[Change], touched: dict[int, Flag | None]) -> Snapshot:
    if not changes:
        return snapshot
    delta = Delta(
        origin=snapshot.cursor,
        cursor=Cursor(snapshot.epoch, changes[-1].revision),
        digest=changes[-1].digest,
        flags=tuple(flag for flag in touched.values() if flag is not None),
        deleted=tuple(
            FlagRef(flag_id, snapshot.keys[flag_id])
            for flag_id, flag in touched.items()
            if flag is None and flag_id in snapshot.keys
        ),
    )
    return snapshot.after(delta)


def _stamped(flag: Flag, revision: int, actor: str | None, now_ms: int) -> Flag:
    return replace(flag, revision=revision, snapshot_id=revision, updated_by=actor, updated_at=time_text(now_ms))


def _simple_boolean(flag: Flag, ids: Allocator) -> Flag:
    variant = Variant(ids.next("variant"), "on", flag.id)
    segment_id = ids.next("segment")
    distribution = Distribution(variant.id, 100, variant.key, ids.next("distribution"), segment_id)
    segment = Segment(segment_id, flag_id=flag.id, distributions=(distribution,))
    return replace(flag, segments=(segment,), variants=(variant,))


def _copied(segment: Segment, flag_id: int, variant_ids: dict[int, int], ids: Allocator) -> Segment:
    segment_id = ids.next("segment")
    return replace(
        segment,
        id=segment_id,
        flag_id=flag_id,
        constraints=tuple(
            replace(constraint, id=ids.next("constraint"), segment_id=segment_id) for constraint in segment.constraints
        ),
        distributions=tuple(
            replace(
                share,
                id=ids.next("distribution"),
                segment_id=segment_id,
                variant_id=variant_ids.get(share.variant_id, share.variant_id),
            )
            for share in segment.distributions
        ),
    )
