"""Edits of variants."""

import pytest

from flagent.core import variant_edits as edits
from flagent.core.changes import EventType
from flagent.core.ids import Allocator, Ids
from flagent.core.model import Distribution, Flag, Segment, Variant
from flagent.errors import InvalidFlag, NotFound

FLAG = Flag(
    id=1,
    key="f",
    segments=(
        Segment(10, flag_id=1, distributions=(Distribution(30, 100, "x", 40, 10), Distribution(31, 0, "y", 41, 10))),
        Segment(11, flag_id=1, distributions=(Distribution(30, 100, "x", 42, 11),)),
    ),
    variants=(Variant(30, "x", 1, {"n": 1}), Variant(31, "y", 1)),
)


def test_a_new_variant_is_given_to_nobody() -> None:
    edit = edits.add_variant(FLAG, Allocator(Ids(variant=31)), key="z", attachment={"a": [1, {"b": None}]})

    assert edit.flag.variants[-1] == Variant(32, "z", 1, {"a": [1, {"b": None}]})
    assert edit.flag.segments == FLAG.segments
    assert (edit.type, edit.data) == (EventType.VARIANT_UPDATED, {"variantID": "32"})


def test_a_new_key_is_copied_into_all_distributions() -> None:
    edit = edits.update_variant(FLAG, 30, key="renamed", attachment={"n": 2})

    assert edit.flag.variants == (Variant(30, "renamed", 1, {"n": 2}), Variant(31, "y", 1))
    assert [[share.variant_key for share in segment.distributions] for segment in edit.flag.segments] == [
        ["renamed", "y"],
        ["renamed"],
    ]


def test_an_update_without_an_attachment_takes_it_away() -> None:
    assert edits.update_variant(FLAG, 30, key="x").flag.variants[0] == Variant(30, "x", 1, None)


def test_a_variant_that_gets_0_percent_goes_with_its_distributions() -> None:
    edit = edits.delete_variant(FLAG, 31)

    assert edit.flag.variants == (Variant(30, "x", 1, {"n": 1}),)
    assert edit.flag.segments[0].distributions == (Distribution(30, 100, "x", 40, 10),)


def test_a_variant_that_somebody_gets_stays() -> None:
    with pytest.raises(InvalidFlag, match="variant 'x': a distribution of segment 10"):
        edits.delete_variant(FLAG, 30)


def test_keys_are_distinct_within_a_flag() -> None:
    with pytest.raises(InvalidFlag, match="key: 'y' is the key of variant 31"):
        edits.add_variant(FLAG, Allocator(Ids()), key="y")
    with pytest.raises(InvalidFlag, match="key: 'y' is the key of variant 31"):
        edits.update_variant(FLAG, 30, key="y")


def test_what_is_not_there_can_not_be_edited() -> None:
    with pytest.raises(NotFound, match="flag 'f' has no variant 99"):
        edits.update_variant(FLAG, 99, key="a")
    with pytest.raises(NotFound, match="flag 'f' has no variant 99"):
        edits.delete_variant(FLAG, 99)
