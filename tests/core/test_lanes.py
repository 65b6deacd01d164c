"""Buckets in many flags at once: each is the one that the flag has by itself."""

from __future__ import annotations

from zlib import crc32

from hypothesis import example, given
from hypothesis import strategies as st

from flagent.core import lanes
from flagent.core.bucketing import BUCKETS, bucket
from flagent.core.lanes import Lanes

states = st.lists(st.integers(0, 2**32 - 1), max_size=20)


@given(states, st.lists(st.binary(max_size=40), max_size=8))
@example([0, 2**32 - 1], [b"", b"\0", b"\xff" * 40])
def test_each_bucket_is_the_one_that_is_hashed_alone(several: list[int], ids: list[bytes]) -> None:
    found = Lanes(several)

    for encoded in ids:
        assert list(found.of(encoded)) == [crc32(encoded, state) % BUCKETS for state in several]


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, BUCKETS)), min_size=1, max_size=20), st.binary())
@example([(0, 0), (0, BUCKETS), (0, 1), (2**32 - 1, BUCKETS - 1)], b"")
def test_with_bounds_it_is_whether_the_bucket_is_below(several: list[tuple[int, int]], encoded: bytes) -> None:
    found = Lanes([state for state, _ in several], [bound for _, bound in several]).of(encoded)

    assert list(found) == [crc32(encoded, state) % BUCKETS < bound for state, bound in several]


@given(st.lists(st.integers(0, BUCKETS - 1), min_size=1, max_size=20), st.integers(-1, 1))
def test_a_bucket_next_to_its_bound_is_on_the_right_side_of_it(states: list[int], apart: int) -> None:
    # Of no bytes, the CRC-32 is the state itself.
    bounds = [max(0, state + apart) for state in states]

    assert list(Lanes(states, bounds).of(b"")) == [state < bound for state, bound in zip(states, bounds, strict=True)]


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_they_are_the_buckets_of_flags(flag_ids: list[int], entity_id: str) -> None:
    encoded = entity_id.encode("utf-8", "replace")
    found = Lanes([crc32(str(flag_id).encode()) for flag_id in flag_ids]).of(encoded)

    assert [each + 1 for each in found] == [bucket(flag_id, entity_id) for flag_id in flag_ids]


@given(st.integers(0, 2**32 - 1))
@example(0)
@example(999)
@example(2**32 - 1)
@example(2**32 - 2**32 % BUCKETS - 1)
@example(2**32 - 2**32 % BUCKETS)
def test_the_quotient_is_exact_for_all_hashes(value: int) -> None:
    assert value * lanes._FACTOR >> lanes._SHIFT == value // BUCKETS
    assert value * lanes._FACTOR < 1 << 64
    assert lanes._FACTOR * BUCKETS - (1 << lanes._SHIFT) <= 1 << (lanes._SHIFT - 32)


def test_what_is_kept_of_the_lengths_of_ids_is_bounded() -> None:
    several = list(range(5000))
    found = Lanes(several)
    for length in range(60):
        encoded = b"x" * length
        assert found.of(encoded)[7] == crc32(encoded, 7) % BUCKETS

    assert len(found._by_length) * 8 * len(several) <= lanes._MOST_KEPT + 8 * len(several)
