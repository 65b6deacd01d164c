"""Edits of a flag's segments and of what is inside them: constraints and distributions.

Segments stay sorted by rank, then id: that is the order in which every evaluator walks them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from ..errors import InvalidFlag, NotFound
from . import validation
from .changes import EventType
from .edits import Edit
from .ids import Allocator
from .model import Constraint, Distribution, Flag, Segment

#: Rank of a new segment: last, until somebody puts them in order.
LAST_RANK = 999


def add_segment(flag: Flag, ids: Allocator, *, description: str, rollout_percent: int) -> Edit:
    """Add a segment behind all others, without constraints and distributions."""
    validation.check_percent(rollout_percent, "rolloutPercent")
    segment = Segment(ids.next("segment"), LAST_RANK, rollout_percent, description, flag.id)
    return _edit(flag, segment.id, (*flag.segments, segment))


def update_segment(flag: Flag, segment_id: int, *, description: str, rollout_percent: int) -> Edit:
    """Set the description and the rollout of a segment."""
    validation.check_percent(rollout_percent, "rolloutPercent")
    segment = find_segment(flag, segment_id)
    return _with_segment(flag, replace(segment, description=description, rollout_percent=rollout_percent))


def delete_segment(flag: Flag, segment_id: int) -> Edit:
    """Delete a segment with everything inside it."""
    gone = find_segment(flag, segment_id)
    return _edit(flag, segment_id, (segment for segment in flag.segments if segment is not gone))


def reorder_segments(flag: Flag, segment_ids: Sequence[int]) -> Edit:
    """Give the listed segments the ranks 0, 1, 2 …; others keep theirs. The event names the first one."""
    if not segment_ids:
        raise InvalidFlag("segmentIDs: must not be empty")
    if len(set(segment_ids)) != len(segment_ids):
        raise InvalidFlag(f"segmentIDs: {list(segment_ids)} lists a segment twice")
    for segment_id in segment_ids:
        if flag.segment(segment_id) is None:
            raise InvalidFlag(f"segmentIDs: flag {flag.key!r} has no segment {segment_id}")
    ranks = {segment_id: rank for rank, segment_id in enumerate(segment_ids)}
    segments = (replace(segment, rank=ranks.get(segment.id, segment.rank)) for segment in flag.segments)
    return _edit(flag, segment_ids[0], segments)


def add_constraint(flag: Flag, segment_id: int, constraint: Constraint, ids: Allocator) -> Edit:
    """Add a condition to a segment; its ids are given here."""
    validation.check_constraint(constraint)
    segment = find_segment(flag, segment_id)
    added = replace(constraint, id=ids.next("constraint"), segment_id=segment_id)
    return _with_segment(flag, replace(segment, constraints=(*segment.constraints, added)))


def update_constraint(flag: Flag, segment_id: int, constraint: Constraint) -> Edit:
    """Replace the condition that has the id of `constraint`."""
    validation.check_constraint(constraint)
    segment = find_segment(flag, segment_id)
    old = find_constraint(segment, constraint.id)
    updated = replace(constraint, segment_id=segment_id)
    constraints = tuple(updated if each is old else each for each in segment.constraints)
    return _with_segment(flag, replace(segment, constraints=constraints))


def delete_constraint(flag: Flag, segment_id: int, constraint_id: int) -> Edit:
    """Delete a condition: from this change on it is in force nowhere."""
    segment = find_segment(flag, segment_id)
    gone = find_constraint(segment, constraint_id)
    constraints = tuple(constraint for constraint in segment.constraints if constraint is not gone)
    return _with_segment(flag, replace(segment, constraints=constraints))


def set_distributions(flag: Flag, segment_id: int, distributions: Sequence[Distribution], ids: Allocator) -> Edit:
    """Replace all distributions of a segment, ordered by variant; a variant that stays keeps its distribution's id."""
    segment = find_segment(flag, segment_id)
    validation.check_distributions(flag, distributions)
    old_ids = {old.variant_id: old.id for old in segment.distributions}
    keys = {variant.id: variant.key for variant in flag.variants}
    placed = tuple(
        Distribution(
            variant_id=share.variant_id,
            percent=share.percent,
            variant_key=keys[share.variant_id],
            id=old_ids.get(share.variant_id) or ids.next("distribution"),
            segment_id=segment_id,
        )
        for share in sorted(distributions, key=lambda share: share.variant_id)
    )
    return _with_segment(flag, replace(segment, distributions=placed))


def find_segment(flag: Flag, segment_id: int) -> Segment:
    """Return the flag's segment of that id.

    Raises:
        NotFound: the flag has none.
    """
    segment = flag.segment(segment_id)
    if segment is None:
        raise NotFound(f"flag {flag.key!r} has no segment {segment_id}")
    return segment


def find_constraint(segment: Segment, constraint_id: int) -> Constraint:
    """Return the segment's constraint of that id.

    Raises:
        NotFound: the segment has none.
    """
    found = next((constraint for constraint in segment.constraints if constraint.id == constraint_id), None)
    if found is None:
        raise NotFound(f"segment {segment.id} has no constraint {constraint_id}")
    return found


def _with_segment(flag: Flag, segment: Segment) -> Edit:
    return _edit(flag, segment.id, (segment if each.id == segment.id else each for each in flag.segments))


def _edit(flag: Flag, segment_id: int, segments: Iterable[Segment]) -> Edit:
    ordered = tuple(sorted(segments, key=lambda segment: (segment.rank, segment.id)))
    return Edit(replace(flag, segments=ordered), EventType.SEGMENT_UPDATED, {"segmentID": str(segment_id)})
