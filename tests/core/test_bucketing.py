"""Where entities fall, and that an exported proportional flag places them as the native one does."""

from __future__ import annotations

from itertools import pairwise
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flagent.core.bucketing import NO_VARIANT, bucket, place, sliced
from flagent.core.model import PROPORTIONAL, THRESHOLD, Distribution, Flag, Segment, Variant


def test_a_bucket_is_the_crc_of_flag_and_entity() -> None:
    assert bucket(7, "üser") == crc32("7üser".encode()) % 1000 + 1
    # A lone surrogate has no UTF-8; on the JVM it becomes a question mark.
    assert bucket(7, "\ud800") == crc32(b"7?") % 1000 + 1


@st.composite
def shares(draw: st.DrawFn, *, whole: bool) -> tuple[int, list[int]]:
    """Draw a rollout and percents that add up to 100."""
    cuts = sorted(draw(st.lists(st.integers(0, 10 if whole else 100), max_size=4)))
    step = 10 if whole else 1
    edges = [0, *(cut * step for cut in cuts), 100]
    percents = [upper - lower for lower, upper in pairwise(edges)]
    rollout = draw(st.integers(0, 10)) * 10 if whole else draw(st.integers(0, 100))
    return rollout, percents


def proportional(rollout: int, percents: list[int]) -> Flag:
    # Ids against the order of the list, so that the order of ids is what counts.
    ids = range(100 + len(percents), 100, -1)
    distributions = tuple(Distribution(v, percent, f"v{v}") for v, percent in zip(ids, percents, strict=True))
    variants = tuple(Variant(v, f"v{v}") for v in ids)
    segment = Segment(1, rollout_percent=rollout, distributions=distributions)
    return Flag(7, "f", enabled=True, segments=(segment,), variants=variants, rollout=PROPORTIONAL)


def plain(segment: Segment, number: int) -> int | None:
    """Place a bucket as evaluators do that know nothing but Flagent's written rules."""
    if number > segment.rollout_percent * 10:
        return None
    accumulated = 0
    for share in sorted(segment.distributions, key=lambda share: share.percent):
        accumulated += share.percent * 10
        if number <= accumulated:
            return share.variant_id
    return segment.distributions[-1].variant_id


def differences(flag: Flag) -> int:
    (native,), (exported,) = flag.segments, sliced(flag).segments
    known = {variant.id for variant in flag.variants}
    count = 0
    for number in range(1, 1001):
        wanted = place(native, PROPORTIONAL, number).variant_id
        found = plain(exported, number)
        count += wanted != (found if found in known else None)
    return count


@given(shares(whole=True))
def test_where_all_shares_are_whole_percents_the_exported_form_places_every_bucket_alike(
    drawn: tuple[int, list[int]],
) -> None:
    assert differences(proportional(*drawn)) == 0


@given(shares(whole=False))
def test_elsewhere_at_most_five_buckets_of_a_variant_are_placed_differently(drawn: tuple[int, list[int]]) -> None:
    assert differences(proportional(*drawn)) <= 5 * len(drawn[1])


@given(shares(whole=False))
def test_slices_are_equal_and_make_up_everything(drawn: tuple[int, list[int]]) -> None:
    flag = sliced(proportional(*drawn))

    (segment,) = flag.segments
    assert (flag.rollout, segment.rollout_percent) == (THRESHOLD, 100)
    assert len({share.percent for share in segment.distributions}) == 1
    assert sum(share.percent for share in segment.distributions) == 100


def test_half_of_a_split_at_ten_percent_is_five_percent_each() -> None:
    (segment,) = sliced(proportional(10, [50, 50])).segments

    given_to = [share.variant_id for share in segment.distributions]
    assert given_to == [101] + [NO_VARIANT] * 9 + [102] + [NO_VARIANT] * 9
    assert {share.percent for share in segment.distributions} == {5}


def test_a_threshold_flag_is_exported_as_it_is() -> None:
    flag = replace(proportional(10, [100]), rollout=THRESHOLD)

    assert sliced(flag) is flag
