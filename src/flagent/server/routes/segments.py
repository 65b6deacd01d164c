"""Segments of a flag, and what is inside them: constraints and distributions."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...core import segment_edits as edits
from ...core.model import Constraint, Distribution, Segment
from . import answers
from .bodies import ConstraintBody, DistributionsBody, SegmentBody, SegmentOrder, decoded, path_id
from .writing import check_segment, edit_flag, edit_segment, find_flag, services


async def list_segments(request: Request) -> Response:
    """Answer with the segments, by rank."""
    return answers.json(find_flag(services(request).hub.snapshot, path_id(request, "flagID")).segments)


async def get_segment(request: Request) -> Response:
    """Answer with one segment."""
    return answers.json(_segment(request))


async def create_segment(request: Request) -> Response:
    """Add a segment behind the others."""
    body = await decoded(request, SegmentBody)
    flag = await edit_flag(
        request,
        lambda flag, state: edits.add_segment(
            flag, state.ids, description=body.description, rollout_percent=body.rollout_percent
        ),
    )
    return answers.json(max(flag.segments, key=lambda segment: segment.id))


async def update_segment(request: Request) -> Response:
    """Change description and rollout of a segment."""
    body = await decoded(request, SegmentBody)
    flag = await edit_segment(
        request,
        lambda flag, segment_id, _: edits.update_segment(
            flag, segment_id, description=body.description, rollout_percent=body.rollout_percent
        ),
    )
    return answers.json(flag.segment(path_id(request, "segmentID")))


async def delete_segment(request: Request) -> Response:
    """Delete a segment."""
    await edit_segment(request, lambda flag, segment_id, _: edits.delete_segment(flag, segment_id))
    return answers.empty()


async def reorder_segments(request: Request) -> Response:
    """Put the listed segments in this order."""
    body = await decoded(request, SegmentOrder)
    await edit_flag(request, lambda flag, _: edits.reorder_segments(flag, body.segment_ids))
    return answers.empty()


async def list_constraints(request: Request) -> Response:
    """Answer with the constraints of a segment, the oldest first."""
    return answers.json(_segment(request).constraints)


async def create_constraint(request: Request) -> Response:
    """Add a constraint to a segment."""
    constraint = _constraint(await decoded(request, ConstraintBody))
    flag = await edit_segment(
        request, lambda flag, segment_id, state: edits.add_constraint(flag, segment_id, constraint, state.ids)
    )
    segment = edits.find_segment(flag, path_id(request, "segmentID"))
    return answers.json(segment.constraints[-1])


async def update_constraint(request: Request) -> Response:
    """Replace a constraint."""
    constraint = _constraint(await decoded(request, ConstraintBody), path_id(request, "constraintID"))
    flag = await edit_segment(
        request, lambda flag, segment_id, _: edits.update_constraint(flag, segment_id, constraint)
    )
    segment = edits.find_segment(flag, path_id(request, "segmentID"))
    return answers.json(edits.find_constraint(segment, constraint.id))


async def delete_constraint(request: Request) -> Response:
    """Delete a constraint."""
    constraint_id = path_id(request, "constraintID")
    await edit_segment(request, lambda flag, segment_id, _: edits.delete_constraint(flag, segment_id, constraint_id))
    return answers.empty()


async def list_distributions(request: Request) -> Response:
    """Answer with the distributions of a segment, by variant."""
    return answers.json(_segment(request).distributions)


async def set_distributions(request: Request) -> Response:
    """Replace all distributions of a segment."""
    body = await decoded(request, DistributionsBody)
    shares = [Distribution(share.variant_id, share.percent, share.variant_key) for share in body.distributions]
    flag = await edit_segment(
        request, lambda flag, segment_id, state: edits.set_distributions(flag, segment_id, shares, state.ids)
    )
    return answers.json(edits.find_segment(flag, path_id(request, "segmentID")).distributions)


def _segment(request: Request) -> Segment:
    snapshot = services(request).hub.snapshot
    flag, segment_id = find_flag(snapshot, path_id(request, "flagID")), path_id(request, "segmentID")
    check_segment(snapshot, flag, segment_id)
    return edits.find_segment(flag, segment_id)


def _constraint(body: ConstraintBody, constraint_id: int = 0) -> Constraint:
    return Constraint(body.property, body.operator, body.value, constraint_id)


_SEGMENTS = "/api/v1/flags/{flagID}/segments"
_SEGMENT = _SEGMENTS + "/{segmentID}"

routes = [
    Route(_SEGMENTS, list_segments),
    Route(_SEGMENTS, create_segment, methods=["POST"]),
    # Before the path with an id, which "reorder" looks like.
    Route(f"{_SEGMENTS}/reorder", reorder_segments, methods=["PUT"]),
    Route(_SEGMENT, get_segment),
    Route(_SEGMENT, update_segment, methods=["PUT"]),
    Route(_SEGMENT, delete_segment, methods=["DELETE"]),
    Route(f"{_SEGMENT}/constraints", list_constraints),
    Route(f"{_SEGMENT}/constraints", create_constraint, methods=["POST"]),
    Route(_SEGMENT + "/constraints/{constraintID}", update_constraint, methods=["PUT"]),
    Route(_SEGMENT + "/constraints/{constraintID}", delete_constraint, methods=["DELETE"]),
    Route(f"{_SEGMENT}/distributions", list_distributions),
    Route(f"{_SEGMENT}/distributions", set_distributions, methods=["PUT"]),
]
