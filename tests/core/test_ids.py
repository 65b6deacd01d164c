"""Which ids are given out."""

import pytest

from flagent.core.changes import Change, EventType
from flagent.core.ids import Allocator, Ids
from flagent.core.model import MAX_ID, Constraint, Distribution, Flag, Segment, Tag, Variant
from flagent.errors import InvalidFlag

FLAG = Flag(
    id=5,
    key="f",
    segments=(
        Segment(3, constraints=(Constraint("a", "EQ", "1", 8),)),
        Segment(2, distributions=(Distribution(4, 100, None, 9),)),
    ),
    variants=(Variant(4, "on"),),
    tags=(Tag(7, "t"),),
)


def test_each_kind_counts_for_itself_and_nothing_is_given_out_twice() -> None:
    allocator = Allocator(Ids(flag=1))

    assert [allocator.next("flag"), allocator.next("flag"), allocator.next("tag")] == [2, 3, 1]
    assert allocator.ids == Ids(flag=3, tag=1)


def test_ids_advance_with_the_changes_of_others_and_never_go_back() -> None:
    ids = Ids(flag=1, segment=100)

    after = ids.after(
        [Change(1, EventType.FLAG_CREATED, 5, "f", FLAG), Change(2, EventType.FLAG_DELETED, 5, "f", None)]
    )

    assert after == Ids(flag=5, segment=100, constraint=8, distribution=9, variant=4, tag=7)


def test_the_last_32_bit_id_is_the_last_one() -> None:
    allocator = Allocator(Ids(variant=MAX_ID - 1))

    assert allocator.next("variant") == MAX_ID
    with pytest.raises(InvalidFlag, match="variant: no id is left"):
        allocator.next("variant")
