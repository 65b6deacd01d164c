"""A flag as a document wants it, with as many of its old ids as possible.

A variant is recognised by its key, a tag by its value, segments and constraints by their content
and then by their place. So a flag that a document describes as it is comes out as it was, byte for byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from .documents import ConstraintItem, FlagItem, SegmentItem, constraint_item, segment_item
from .ids import Allocator
from .model import Constraint, Distribution, Flag, Segment, Tag, Variant

_Item = TypeVar("_Item")
_Part = TypeVar("_Part")

# Sorted, because the order of an attachment's members means nothing and tools that edit documents change it.
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def upserted(item: FlagItem, old: Flag, ids: Allocator, tags: dict[str, Tag]) -> Flag:
    """Return `old`, which may be empty, as `item` wants it.

    Args:
        item: has been checked.
        old: the flag, with its id and key.
        ids: where new ids come from.
        tags: the tags that exist, by value; new ones are added.
    """
    variants = _variants(item, old, ids)
    return replace(
        old,
        description=item.description,
        enabled=item.enabled,
        notes=item.notes,
        data_records_enabled=item.data_records_enabled,
        entity_type=item.entity_type or None,
        rollout=item.rollout or old.rollout,
        client_visible=old.client_visible if item.client_visible is None else item.client_visible,
        variants=variants,
        segments=_segments(item, old, {variant.key: variant.id for variant in variants}, ids),
        tags=_tags(item, ids, tags),
    )


def _variants(item: FlagItem, old: Flag, ids: Allocator) -> tuple[Variant, ...]:
    existing = {variant.key: variant for variant in old.variants}
    found = []
    for each in item.variants:
        variant = existing.get(each.key) or Variant(ids.next("variant"), each.key, old.id)
        if _encode_sorted(variant.attachment) != _encode_sorted(each.attachment):
            variant = replace(variant, attachment=each.attachment)
        found.append(variant)
    return tuple(sorted(found, key=lambda variant: variant.id))


def _tags(item: FlagItem, ids: Allocator, tags: dict[str, Tag]) -> tuple[Tag, ...]:
    for value in item.tags:
        if value not in tags:
            tags[value] = Tag(ids.next("tag"), value)
    return tuple(sorted({tags[value] for value in item.tags}, key=lambda tag: tag.id))


def _segments(item: FlagItem, old: Flag, variant_ids: dict[str, int], ids: Allocator) -> tuple[Segment, ...]:
    wanted = sorted(item.segments, key=lambda segment: segment.rank)
    existing = [(segment_item(old, segment), segment) for segment in old.segments]
    segments = []
    rank, last_id = -1, 0
    for each, match in zip(wanted, _matched(wanted, existing, _content, _unranked), strict=True):
        if each.rank != rank:
            rank, last_id = each.rank, 0
        # Segments of one rank are walked by id: an id that would put this one too far in front is no use.
        kept = match if match is not None and match.id > last_id else None
        segment = _segment(each, kept or Segment(ids.next("segment"), flag_id=old.id), variant_ids, ids)
        last_id = segment.id
        segments.append(segment)
    return tuple(segments)


def _segment(item: SegmentItem, old: Segment, variant_ids: dict[str, int], ids: Allocator) -> Segment:
    existing = [(constraint_item(constraint), constraint) for constraint in old.constraints]
    constraints = tuple(
        Constraint(each.property, each.operator, each.value, match.id if match else ids.next("constraint"), old.id)
        for each, match in zip(item.constraints, _matched(item.constraints, existing, _itself), strict=True)
    )
    share_ids = {share.variant_id: share.id for share in old.distributions}
    distributions = tuple(
        Distribution(
            variant_id=variant_ids[share.variant_key],
            percent=share.percent,
            variant_key=share.variant_key,
            id=share_ids.get(variant_ids[share.variant_key]) or ids.next("distribution"),
            segment_id=old.id,
        )
        for share in sorted(item.distributions, key=lambda share: variant_ids[share.variant_key])
    )
    return replace(
        old,
        rank=item.rank,
        rollout_percent=item.rollout_percent,
        description=item.description,
        constraints=constraints,
        distributions=distributions,
    )


def _matched(
    wanted: Sequence[_Item], existing: Sequence[tuple[_Item, _Part]], *views: Callable[[_Item], Hashable]
) -> list[_Part | None]:
    """Return which part each item keeps: one that is equal in the first view, or the next; else one that is left."""
    found: dict[int, _Part] = {}
    free = list(existing)
    for view in views:
        pools: dict[Hashable, deque[int]] = {}
        for place, (item, _) in enumerate(free):
            pools.setdefault(view(item), deque()).append(place)
        taken = set()
        for index, item in enumerate(wanted):
            pool = pools.get(view(item)) if index not in found else None
            if pool:
                place = pool.popleft()
                found[index] = free[place][1]
                taken.add(place)
        free = [each for place, each in enumerate(free) if place not in taken]
    left = (part for _, part in free)
    return [found[index] if index in found else next(left, None) for index in range(len(wanted))]


def _content(item: SegmentItem) -> SegmentItem:
    return replace(item, distributions=tuple(sorted(item.distributions, key=lambda share: share.variant_key)))


def _unranked(item: SegmentItem) -> SegmentItem:
    return replace(_content(item), rank=0)


def _itself(item: ConstraintItem) -> ConstraintItem:
    return item
