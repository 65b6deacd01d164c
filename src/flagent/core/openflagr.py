"""openflagr's export file (`/export/eval_cache/json`, capital names) as a document to import.

What the file says must mean the same here, or it is refused with a reason:

* openflagr places users by rollout `proportional`, in the order of the variants' ids, with the flag's
  id as salt; imported flags get that rollout, their variants in that order, and their id if it is free.
* Constraint values are literals of an expression language (`"US"`, `["US","CA"]`, `10`); `literals`
  turns those into plain values.
* In openflagr the first segment whose constraints hold decides, also when it has no distribution.
  Here the next one would be asked, so such a segment can only be the last.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ..errors import InvalidFlag
from .documents import (
    ConstraintItem,
    DistributionItem,
    Document,
    Entry,
    FlagItem,
    SegmentItem,
    VariantItem,
    checked,
    label,
    without_nulls,
)
from .literals import plain_value
from .model import PROPORTIONAL


class _Constraint(Struct, frozen=True, rename="pascal"):
    property: str
    operator: str
    value: str


class _Distribution(Struct, frozen=True, rename="pascal"):
    percent: int
    variant_key: str = ""
    variant_id: int = msgspec.field(name="VariantID", default=0)


class _Segment(Struct, frozen=True, rename="pascal"):
    id: int = msgspec.field(name="ID", default=0)
    description: str = ""
    rank: int = 0
    rollout_percent: int = 0
    constraints: tuple[_Constraint, ...] = ()
    distributions: tuple[_Distribution, ...] = ()


class _Variant(Struct, frozen=True, rename="pascal"):
    key: str
    id: int = msgspec.field(name="ID", default=0)
    attachment: dict[str, Any] | None = None


class _Tag(Struct, frozen=True, rename="pascal"):
    value: str


class _Flag(Struct, frozen=True, rename="pascal"):
    key: str
    id: int = msgspec.field(name="ID", default=0)
    description: str = ""
    enabled: bool = False
    notes: str = ""
    data_records_enabled: bool = False
    entity_type: str = ""
    segments: tuple[_Segment, ...] = ()
    variants: tuple[_Variant, ...] = ()
    tags: tuple[_Tag, ...] = ()


def is_openflagr(value: Any) -> bool:
    """Return whether a plain value is such a file, and not a GitOps document."""
    return isinstance(value, dict) and "Flags" in value and "flags" not in value


def read_openflagr(value: dict[str, Any]) -> Document:
    """Return the document that the file stands for, with everything that can't be imported."""
    found = value["Flags"]
    if not isinstance(found, list):
        return Document(errors=("Flags: must be a list of flags",))
    entries: list[Entry] = []
    errors: list[str] = []
    for index, each in enumerate(found):
        name = label(each, "Key", index)
        try:
            flag = msgspec.convert(without_nulls(each), _Flag)
        except msgspec.ValidationError as exc:
            errors.append(f"{name}: {exc}")
            continue
        item, problems = _item(flag)
        entries.append(Entry(item, flag.id))
        errors += [f"{name}: {text}" for text in problems]
    return checked(entries, errors)


def _item(flag: _Flag) -> tuple[FlagItem, list[str]]:
    variants = sorted(flag.variants, key=lambda variant: variant.id)
    keys = {variant.id: variant.key for variant in variants if variant.id}
    problems: list[str] = []
    segments = []
    for index, segment in enumerate(sorted(flag.segments, key=lambda segment: (segment.rank, segment.id))):
        segment_item, found = _segment_item(segment, keys)
        if not segment.distributions and index + 1 < len(flag.segments):
            found.append("has no distribution; openflagr stops there, here the next segment would be asked")
        segments.append(segment_item)
        problems += [f"segment {segment.id or index}: {text}" for text in found]
    item = FlagItem(
        key=flag.key,
        description=flag.description,
        enabled=flag.enabled,
        notes=flag.notes or None,
        data_records_enabled=flag.data_records_enabled,
        entity_type=flag.entity_type or None,
        rollout=PROPORTIONAL,
        segments=tuple(segments),
        variants=tuple(VariantItem(variant.key, variant.attachment) for variant in variants),
        tags=tuple(tag.value for tag in flag.tags),
    )
    return item, problems


def _segment_item(segment: _Segment, variant_keys: dict[int, str]) -> tuple[SegmentItem, list[str]]:
    constraints, problems = [], []
    for constraint in segment.constraints:
        try:
            value = plain_value(constraint.property, constraint.operator, constraint.value)
        except InvalidFlag as exc:
            problems.append(f"{constraint.property} {constraint.operator} {constraint.value[:80]}: {exc}")
        else:
            constraints.append(ConstraintItem(constraint.property, constraint.operator, value))
    item = SegmentItem(
        rank=segment.rank,
        description=segment.description,
        rollout_percent=segment.rollout_percent,
        constraints=tuple(constraints),
        # The id counts in openflagr; the key beside it may be one that the variant had before.
        distributions=tuple(
            DistributionItem(variant_keys.get(share.variant_id, share.variant_key), share.percent)
            for share in segment.distributions
        ),
    )
    return item, problems
