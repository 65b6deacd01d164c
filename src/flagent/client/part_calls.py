"""The calls of the REST API that change what is inside a flag: segments, constraints, distributions, variants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .call import Call, flag_path, json_body, nothing, replies

if TYPE_CHECKING:
    from ..core.model import Constraint, Distribution, Segment, Variant


def list_segments(flag_id: int) -> Call[list[Segment]]:
    """Return the segments of a flag, by rank."""
    return Call("GET", flag_path(flag_id, "segments"), replies.segments)


def create_segment(flag_id: int, *, description: str = "", rollout_percent: int = 100) -> Call[Segment]:
    """Add a segment behind the others."""
    body = json_body(description=description, rolloutPercent=rollout_percent)
    return Call("POST", flag_path(flag_id, "segments"), replies.segment, body)


def update_segment(flag_id: int, segment_id: int, *, description: str, rollout_percent: int) -> Call[Segment]:
    """Set description and rollout of a segment."""
    body = json_body(description=description, rolloutPercent=rollout_percent)
    return Call("PUT", flag_path(flag_id, "segments", segment_id), replies.segment, body)


def delete_segment(flag_id: int, segment_id: int) -> Call[None]:
    """Delete a segment with everything inside it."""
    return Call("DELETE", flag_path(flag_id, "segments", segment_id), nothing)


def reorder_segments(flag_id: int, segment_ids: Iterable[int]) -> Call[None]:
    """Put segments in this order."""
    return Call("PUT", flag_path(flag_id, "segments", "reorder"), nothing, json_body(segmentIDs=list(segment_ids)))


def create_constraint(flag_id: int, segment_id: int, property: str, operator: str, value: str) -> Call[Constraint]:
    """Add a condition to a segment; all of them must hold."""
    body = json_body(property=property, operator=operator, value=value)
    return Call("POST", flag_path(flag_id, "segments", segment_id, "constraints"), replies.constraint, body)


def update_constraint(
    flag_id: int, segment_id: int, constraint_id: int, property: str, operator: str, value: str
) -> Call[Constraint]:
    """Replace a condition of a segment."""
    body = json_body(property=property, operator=operator, value=value)
    return Call(
        "PUT", flag_path(flag_id, "segments", segment_id, "constraints", constraint_id), replies.constraint, body
    )


def delete_constraint(flag_id: int, segment_id: int, constraint_id: int) -> Call[None]:
    """Delete a condition of a segment."""
    return Call("DELETE", flag_path(flag_id, "segments", segment_id, "constraints", constraint_id), nothing)


def put_distributions(flag_id: int, segment_id: int, distributions: Iterable[Distribution]) -> Call[list[Distribution]]:
    """Replace the shares that the variants have of a segment; they sum up to 100."""
    shares = [
        {"variantID": each.variant_id, "variantKey": each.variant_key, "percent": each.percent}
        for each in distributions
    ]
    path = flag_path(flag_id, "segments", segment_id, "distributions")
    return Call("PUT", path, replies.distributions, json_body(distributions=shares))


def create_variant(flag_id: int, key: str, attachment: Mapping[str, Any] | None = None) -> Call[Variant]:
    """Add an outcome to a flag; `attachment` is any JSON object."""
    return Call("POST", flag_path(flag_id, "variants"), replies.variant, json_body(key=key, attachment=attachment))


def update_variant(
    flag_id: int, variant_id: int, key: str, attachment: Mapping[str, Any] | None = None
) -> Call[Variant]:
    """Set key and attachment of a variant; without an attachment it has none afterwards."""
    return Call(
        "PUT", flag_path(flag_id, "variants", variant_id), replies.variant, json_body(key=key, attachment=attachment)
    )


def delete_variant(flag_id: int, variant_id: int) -> Call[None]:
    """Delete a variant that no distribution gives to anybody."""
    return Call("DELETE", flag_path(flag_id, "variants", variant_id), nothing)
