"""The GitOps document: flags as people keep them in a repository, without ids.

Flagent's format, with two optional members of ours in each flag, `rollout` and `clientVisible`. A
document states the whole flag: what Flagent's format knows and the document leaves out has its default.
The text around it (JSON, YAML) is the server's business, what an import does `import_plan`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from ..errors import InvalidFlag
from . import validation
from .model import MAX_ID, Constraint, Flag, Segment
from .segment_edits import LAST_RANK

#: The one version of the format.
VERSION = "1"

# Members that hold text. Flagent takes a plain number or boolean there too, as in `value: 5`.
_TEXTS = frozenset(
    {"key", "description", "notes", "entityType", "rollout", "property", "operator", "value", "variantKey"}
)


class ConstraintItem(Struct, frozen=True):
    """A condition."""

    property: str
    operator: str
    value: str


class DistributionItem(Struct, frozen=True, rename="camel"):
    """The share of a segment that one variant gets, in whole percent."""

    variant_key: str
    percent: int = 0


class SegmentItem(Struct, frozen=True, rename="camel"):
    """A segment; several of the same rank stand in the order of the document."""

    rank: int = LAST_RANK
    description: str = ""
    rollout_percent: int = 100
    constraints: tuple[ConstraintItem, ...] = ()
    distributions: tuple[DistributionItem, ...] = ()


class VariantItem(Struct, frozen=True):
    """One of the outcomes of a flag."""

    key: str
    attachment: dict[str, Any] | None = None


class FlagItem(Struct, frozen=True, rename="camel"):
    """A flag. Without `rollout` or `client_visible`, which Flagent doesn't know, one that exists keeps its own."""

    key: str
    description: str = ""
    enabled: bool = False
    notes: str | None = None
    data_records_enabled: bool = False
    entity_type: str | None = None
    rollout: str | None = None
    client_visible: bool | None = None
    segments: tuple[SegmentItem, ...] = ()
    variants: tuple[VariantItem, ...] = ()
    tags: tuple[str, ...] = ()


class Entry(Struct, frozen=True):
    """A flag to import.

    Attributes:
        item: the flag.
        origin_id: its id in the system that it comes from, or 0. The id decides the buckets, so a
            flag that is created gets the same if it can, and its users keep their variants.
    """

    item: FlagItem
    origin_id: int = 0


class Document(Struct, frozen=True):
    """What was read; with errors, each `<key>: <text>`, it must not be imported."""

    entries: tuple[Entry, ...] = ()
    errors: tuple[str, ...] = ()


def export_document(flags: Iterable[Flag]) -> dict[str, Any]:
    """Return the document of these flags, by id, as plain values: what is None is left out."""
    items = [_item(flag) for flag in sorted(flags, key=lambda flag: flag.id)]
    return {"version": VERSION, "flags": without_nulls(msgspec.to_builtins(items))}


def read_document(value: Any) -> Document:
    """Return the document that a plain value (of JSON or YAML) is, with everything that is wrong with it.

    The caller has limited how deeply the value is nested.
    """
    if not isinstance(value, dict):
        return Document(errors=("the document must be an object with the member 'flags'",))
    version = _text(value.get("version"))
    if version not in (None, VERSION):
        return Document(errors=(f"version: {version!r} is not known, {VERSION!r} is the only one",))
    found = value.get("flags")
    if not isinstance(found, list):
        return Document(errors=("flags: must be a list of flags",))
    entries: list[Entry] = []
    errors: list[str] = []
    for index, each in enumerate(found):
        try:
            entries.append(Entry(msgspec.convert(without_nulls(each), FlagItem)))
        except msgspec.ValidationError as exc:
            errors.append(f"{label(each, 'key', index)}: {exc}")
    return checked(entries, errors)


def checked(entries: Iterable[Entry], errors: Iterable[str] = ()) -> Document:
    """Return the document of these entries; to the errors of reading it come those of the rules that they break."""
    entries, found = tuple(entries), [*errors]
    seen: set[str] = set()
    for entry in entries:
        key = entry.item.key
        if key in seen:
            found.append(f"{_short(key)}: the document has this key twice")
        seen.add(key)
        found += [f"{_short(key)}: {text}" for text in _problems(entry.item)]
    return Document(entries, tuple(found))


def segment_item(flag: Flag, segment: Segment) -> SegmentItem:
    """Return how a document states a segment of that flag."""
    keys = {variant.id: variant.key for variant in flag.variants}
    return SegmentItem(
        rank=segment.rank,
        description=segment.description,
        rollout_percent=segment.rollout_percent,
        constraints=tuple(map(constraint_item, segment.constraints)),
        distributions=tuple(
            DistributionItem(keys.get(share.variant_id, share.variant_key or ""), share.percent)
            for share in segment.distributions
        ),
    )


def constraint_item(constraint: Constraint) -> ConstraintItem:
    """Return how a document states a condition."""
    return ConstraintItem(constraint.property, constraint.operator, constraint.value)


def label(value: Any, member: str, index: int) -> str:
    """Return what to call a flag in an error: its key, or its place when it has none."""
    key = _text(value.get(member)) if isinstance(value, dict) else None
    return _short(key) if isinstance(key, str) and key else f"flags[{index}]"


def without_nulls(value: Any) -> Any:
    """Return a plain value without the members that are null, which are as good as absent; not so in attachments."""
    if isinstance(value, list | tuple):
        return [_text(each) if isinstance(each, bool | int) else without_nulls(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _tidied(name, each) for name, each in value.items() if each is not None}


def _short(key: str) -> str:
    # A wrong key may be as long as the document.
    return key if len(key) <= validation.MAX_KEY_LENGTH else f"{key[: validation.MAX_KEY_LENGTH - 1]}…"


def _tidied(name: str, value: Any) -> Any:
    if name.lower() == "attachment":
        return value
    return _text(value) if name in _TEXTS else without_nulls(value)


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    # A float has no one text form (is 1.10 a number or a version?), so it is left to be refused.
    return str(value) if isinstance(value, int) else value


def _item(flag: Flag) -> FlagItem:
    return FlagItem(
        key=flag.key,
        description=flag.description,
        enabled=flag.enabled,
        notes=flag.notes,
        data_records_enabled=flag.data_records_enabled,
        entity_type=flag.entity_type,
        rollout=flag.rollout,
        client_visible=flag.client_visible,
        segments=tuple(segment_item(flag, segment) for segment in flag.segments),
        variants=tuple(VariantItem(variant.key, variant.attachment) for variant in flag.variants),
        tags=tuple(tag.value for tag in flag.tags),
    )


def _problems(item: FlagItem) -> Iterator[str]:
    """Yield every rule that the flag breaks; they are those of the REST API."""
    yield from _refused("", validation.check_key, item.key)
    if item.entity_type:
        yield from _refused("", validation.check_key, item.entity_type, "entityType")
    if item.rollout is not None:
        yield from _refused("", validation.check_rollout, item.rollout)
    keys: set[str] = set()
    for index, variant in enumerate(item.variants):
        at = f"variants[{index}]."
        yield from _refused(at, validation.check_key, variant.key)
        yield from _refused(at, validation.check_attachment, variant.attachment)
        if variant.key in keys:
            yield f"{at}key: {variant.key!r} is the key of another variant"
        keys.add(variant.key)
    for index, tag in enumerate(item.tags):
        yield from _refused(f"tags[{index}].", validation.check_tag, tag)
    for index, segment in enumerate(item.segments):
        for text in _segment_problems(segment, keys):
            yield f"segments[{index}].{text}"


def _segment_problems(segment: SegmentItem, variant_keys: set[str]) -> Iterator[str]:
    if not 0 <= segment.rank <= MAX_ID:
        yield f"rank: {segment.rank} is not in 0..{MAX_ID}"
    yield from _refused("", validation.check_percent, segment.rollout_percent, "rolloutPercent")
    for index, each in enumerate(segment.constraints):
        constraint = Constraint(each.property, each.operator, each.value)
        yield from _refused(f"constraints[{index}].", validation.check_constraint, constraint)
    shared: set[str] = set()
    for index, share in enumerate(segment.distributions):
        at = f"distributions[{index}]."
        if share.variant_key not in variant_keys:
            yield f"{at}variantKey: the flag has no variant {share.variant_key!r}"
        if share.variant_key in shared:
            yield f"{at}variantKey: variant {share.variant_key!r} is listed twice"
        shared.add(share.variant_key)
        yield from _refused(at, validation.check_percent, share.percent, "percent")
    total = sum(share.percent for share in segment.distributions)
    # A segment without distributions is as good as any that was just made: it gives nobody anything.
    if segment.distributions and total != 100:
        yield f"distributions: the percents sum to {total}, not 100"


def _refused(at: str, check: Any, *args: Any) -> Iterator[str]:
    try:
        check(*args)
    except InvalidFlag as exc:
        yield f"{at}{exc}"
