"""Edits of segments, constraints and distributions."""

import pytest

from flagent.core import segment_edits as edits
from flagent.core.changes import EventType
from flagent.core.ids import Allocator, Ids
from flagent.core.model import Constraint, Distribution, Flag, Segment, Variant
from flagent.errors import InvalidFlag, NotFound

FLAG = Flag(
    id=1,
    key="f",
    segments=(
        Segment(
            10, rank=0, flag_id=1, constraints=(Constraint("a", "EQ", "1", 20, 10), Constraint("b", "EQ", "2", 21, 10))
        ),
        Segment(
            11,
            rank=999,
            flag_id=1,
            distributions=(Distribution(30, 40, "x", 40, 11), Distribution(31, 60, "y", 41, 11)),
        ),
        Segment(12, rank=999, flag_id=1),
    ),
    variants=(Variant(30, "x", 1), Variant(31, "y", 1), Variant(32, "z", 1)),
)


def allocator() -> Allocator:
    return Allocator(Ids(1, 12, 21, 41, 32, 0))


def order(flag: Flag) -> list[int]:
    return [segment.id for segment in flag.segments]


def segment(flag: Flag, segment_id: int) -> Segment:
    return edits.find_segment(flag, segment_id)


def test_a_new_segment_is_the_last_one() -> None:
    edit = edits.add_segment(FLAG, allocator(), description="d", rollout_percent=25)

    assert edit.flag.segments[-1] == Segment(13, 999, 25, "d", 1)
    assert (edit.type, edit.data) == (EventType.SEGMENT_UPDATED, {"segmentID": "13"})


def test_a_segment_keeps_its_parts_when_it_is_updated() -> None:
    edit = edits.update_segment(FLAG, 10, description="new", rollout_percent=0)

    updated = segment(edit.flag, 10)
    assert (updated.description, updated.rollout_percent) == ("new", 0)
    assert updated.constraints == FLAG.segments[0].constraints
    assert edit.data == {"segmentID": "10"}


def test_a_deleted_segment_is_gone() -> None:
    edit = edits.delete_segment(FLAG, 10)

    assert order(edit.flag) == [11, 12]
    assert edit.data == {"segmentID": "10"}


def test_reordering_gives_ranks_from_0_and_leaves_the_segments_that_are_not_listed() -> None:
    edit = edits.reorder_segments(FLAG, [12, 10])

    assert [(each.id, each.rank) for each in edit.flag.segments] == [(12, 0), (10, 1), (11, 999)]
    assert edit.data == {"segmentID": "12"}


@pytest.mark.parametrize(
    ("segment_ids", "message"),
    [([], "must not be empty"), ([10, 11, 10], "twice"), ([10, 77], "no segment 77")],
    ids=["empty", "repeated", "foreign"],
)
def test_a_bad_order_is_refused(segment_ids: list[int], message: str) -> None:
    with pytest.raises(InvalidFlag, match=f"segmentIDs: .*{message}"):
        edits.reorder_segments(FLAG, segment_ids)


def test_constraints_stay_in_the_order_of_their_creation() -> None:
    added = edits.add_constraint(FLAG, 10, Constraint("c", "IN", "1,2"), allocator()).flag

    updated = edits.update_constraint(added, 10, Constraint("z", "NEQ", "9", 20)).flag

    assert segment(updated, 10).constraints == (
        Constraint("z", "NEQ", "9", 20, 10),
        Constraint("b", "EQ", "2", 21, 10),
        Constraint("c", "IN", "1,2", 22, 10),
    )


def test_a_deleted_constraint_is_in_force_no_more() -> None:
    edit = edits.delete_constraint(FLAG, 10, 20)

    assert segment(edit.flag, 10).constraints == (Constraint("b", "EQ", "2", 21, 10),)
    assert (edit.type, edit.data) == (EventType.SEGMENT_UPDATED, {"segmentID": "10"})


def test_distributions_are_replaced_and_those_of_variants_that_stay_keep_their_ids() -> None:
    edit = edits.set_distributions(FLAG, 11, [Distribution(32, 30), Distribution(31, 70, "y")], allocator())

    assert segment(edit.flag, 11).distributions == (
        Distribution(31, 70, "y", 41, 11),
        Distribution(32, 30, "z", 42, 11),
    )


@pytest.mark.parametrize(
    "edit",
    [
        lambda: edits.update_segment(FLAG, 99, description="", rollout_percent=1),
        lambda: edits.delete_segment(FLAG, 99),
        lambda: edits.add_constraint(FLAG, 99, Constraint("a", "EQ", "1"), allocator()),
        lambda: edits.update_constraint(FLAG, 10, Constraint("a", "EQ", "1", 99)),
        lambda: edits.delete_constraint(FLAG, 11, 20),
        lambda: edits.set_distributions(FLAG, 99, [Distribution(30, 100)], allocator()),
    ],
    ids=["update segment", "delete segment", "add constraint", "update constraint", "delete constraint", "distribute"],
)
def test_what_is_not_there_can_not_be_edited(edit) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NotFound):
        edit()


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_rollout_beyond_0_to_100_is_refused(percent: int) -> None:
    with pytest.raises(InvalidFlag, match=f"rolloutPercent: {percent}"):
        edits.add_segment(FLAG, allocator(), description="", rollout_percent=percent)
    with pytest.raises(InvalidFlag, match=f"rolloutPercent: {percent}"):
        edits.update_segment(FLAG, 10, description="", rollout_percent=percent)
