"""From an entity to a bucket, and from a bucket to a variant; two rules for the second step.

`threshold`, Flagent's rule: the rollout takes the first buckets, and of these the variant with the
smallest percent has the first ones; a miss goes on to the next segment.

`proportional`, openflagr's rule: every variant, in the order of ids, has its part of all buckets,
and the rollout takes the first ones of each part; a miss ends the evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace

from .model import MAX_ID, PROPORTIONAL, THRESHOLD, Distribution, Flag, Segment

BUCKETS = 1000
_PER_PERCENT = BUCKETS // 100

#: Stands in an exported distribution for "nobody": no flag has a variant of this id.
NO_VARIANT = MAX_ID


def bucket(flag_id: int, entity_id: str) -> int:
    """Return the bucket of an entity for a flag, 1 to 1000: CRC-32 over the flag's id and the entity's."""
    # A lone surrogate becomes `?`, as on the JVM.
    return crc32(f"{flag_id}{entity_id}".encode("utf-8", "replace")) % BUCKETS + 1


class Placement(Struct, frozen=True, gc=False):
    """What a segment decides for a bucket.

    Attributes:
        variant_id: the variant, or None when the rollout misses.
        final: whether the evaluation ends here.
    """

    variant_id: int | None
    final: bool


_NEXT = Placement(None, final=False)
_END = Placement(None, final=True)


def place(segment: Segment, rollout: str, bucket: int) -> Placement:
    """Return what a segment whose constraints hold decides for a bucket, under the given rollout."""
    if not segment.distributions:
        return _NEXT
    return _proportional(segment, bucket) if rollout == PROPORTIONAL else _threshold(segment, bucket)


def _threshold(segment: Segment, bucket: int) -> Placement:
    if bucket > segment.rollout_percent * _PER_PERCENT:
        return _NEXT
    shares = in_order(segment, THRESHOLD)
    upper = 0
    for share in shares:
        upper += share.percent * _PER_PERCENT
        if bucket <= upper:
            return Placement(share.variant_id, final=True)
    return Placement(shares[-1].variant_id, final=True)


def _proportional(segment: Segment, bucket: int) -> Placement:
    lower = 0
    for share in in_order(segment, PROPORTIONAL):
        size = share.percent * _PER_PERCENT
        if bucket <= lower + size:
            taken = 100 * (bucket - 1 - lower) < segment.rollout_percent * size
            return Placement(share.variant_id, final=True) if taken else _END
        lower += size
    return _END


def placements(segment: Segment, rollout: str) -> tuple[tuple[int, Placement], ...]:
    """Return what `place` gives for all buckets: the last one of each run of equal placements, and the placement."""
    shares = segment.distributions
    if len(shares) == 1 and segment.rollout_percent >= 100 and (rollout != PROPORTIONAL or shares[0].percent >= 100):
        # Most segments are like this.
        return ((BUCKETS, Placement(shares[0].variant_id, final=True)),)
    runs: list[tuple[int, Placement]] = []
    first = 1
    for last in sorted({cut for cut in _cuts(segment, rollout) if 0 < cut < BUCKETS} | {BUCKETS}):
        placement = place(segment, rollout, first)
        if runs and runs[-1][1] == placement:
            runs.pop()
        runs.append((last, placement))
        first = last + 1
    return tuple(runs)


def _cuts(segment: Segment, rollout: str) -> Iterator[int]:
    """Yield each bucket after which `place` may give something else."""
    upper = 0
    for share in in_order(segment, rollout):
        size = share.percent * _PER_PERCENT
        if rollout == PROPORTIONAL:
            yield upper + -(-segment.rollout_percent * size // 100)
        upper += size
        yield upper
    if rollout != PROPORTIONAL:
        yield segment.rollout_percent * _PER_PERCENT


def in_order(segment: Segment, rollout: str) -> tuple[Distribution, ...]:
    """Return the distributions in the order in which they get their buckets."""
    if rollout == PROPORTIONAL:
        return tuple(sorted(segment.distributions, key=lambda share: share.variant_id))
    # Stable: equal percents keep the order of the list.
    return tuple(sorted(segment.distributions, key=lambda share: share.percent))


def in_rank_order(flag: Flag) -> tuple[Segment, ...]:
    """Return the segments in the order in which they are tried.

    Of equal ranks the first in the list comes first, as in Flagent, or the lower id, as in openflagr.
    """
    if len(flag.segments) < 2:
        return flag.segments
    if flag.rollout == PROPORTIONAL:
        return tuple(sorted(flag.segments, key=lambda segment: (segment.rank, segment.id)))
    return tuple(sorted(flag.segments, key=lambda segment: segment.rank))


def sliced(flag: Flag) -> Flag:
    """Return a proportional flag in the form that evaluators which only know `threshold` place alike.

    Each segment is rolled out to 100 % and cut into equal slices of whole percents, which no sorting
    by percent can move; slices that nobody shall get name the variant `NO_VARIANT`, which the flag
    doesn't have, so that every client takes them for off.

    A slice is ten buckets wide. Where a variant's percent times the rollout is a whole percent, the
    answer is the same for every bucket; elsewhere the part of the variant is rounded to the nearest
    whole percent, and up to five of the thousand buckets are placed differently.
    """
    if flag.rollout != PROPORTIONAL:
        return flag
    return replace(flag, rollout=THRESHOLD, segments=tuple(map(_sliced_segment, in_rank_order(flag))))


def _sliced_segment(segment: Segment) -> Segment:
    if not segment.distributions:
        return segment
    runs = list(_runs(segment))
    width = gcd(*(percent for _, _, percent in runs))
    slices = tuple(
        Distribution(variant_id, width, variant_key, number, segment.id)
        for number, (variant_id, variant_key) in enumerate(
            ((variant_id, key) for variant_id, key, percent in runs for _ in range(percent // width)), start=1
        )
    )
    return replace(segment, rollout_percent=100, distributions=slices)


def _runs(segment: Segment) -> Iterator[tuple[int, str | None, int]]:
    """Yield variant, its key and a number of percents, from the first bucket to the last."""
    rest = 100
    rollout = min(max(segment.rollout_percent, 0), 100)
    for share in in_order(segment, PROPORTIONAL):
        percent = min(max(share.percent, 0), rest)
        rest -= percent
        taken = (percent * rollout + 50) // 100
        if taken:
            yield share.variant_id, share.variant_key, taken
        if percent > taken:
            yield NO_VARIANT, None, percent - taken
    if rest:
        yield NO_VARIANT, None, rest
