"""The buckets of one entity in many flags, by a few steps on one large integer instead of some for each flag.

A bucket is what CRC-32 leaves of the flag's id and the entity's id, modulo 1,000. CRC-32 is linear: from two states, it
leaves results whose XOR depends on these states and on how many bytes follow, but not on which. So all of them follow
from one: the CRC-32 of the entity's id by itself, XOR what is known of each flag for ids of that length. That is
done to all flags at once in lanes of 64 bits of one integer, and so is the modulo: its quotient is a product and a
shift (the lanes are wide enough for the product), and nothing is carried from one lane to the next. Where buckets are
only compared with one bound, that is a difference whose highest bit tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final
from zlib import crc32

from .bucketing import BUCKETS

_LANE: Final = 8
_HIGHEST: Final = 1 << 63
#: `x * _FACTOR >> _SHIFT` is `x // BUCKETS` for all x of 32 bits, since `_FACTOR * BUCKETS - 2**_SHIFT` is less than
#: `2**(_SHIFT - 32)`.
_SHIFT: Final = 38
_FACTOR: Final = -(-(1 << _SHIFT) // BUCKETS)
#: What is left of a lane when `_SHIFT` bits of it have gone.
_QUOTIENT: Final = (1 << (64 - _SHIFT)) - 1
#: Bytes that are kept, at most, of what depends on the length of ids.
_MOST_KEPT: Final = 1 << 19


class Lanes:
    """Finds the buckets of an entity in some flags.

    Args:
        states: for each flag the CRC-32 of its part of what is hashed.
        bounds: for each flag the bound to compare the bucket, less one, with; empty if the bucket itself is asked for.
    """

    __slots__ = ("_by_length", "_bytes", "_limits", "_ones", "_quotients", "_states", "_unpack")

    def __init__(self, states: Sequence[int], bounds: Sequence[int] = ()) -> None:
        self._states = states
        self._bytes = _LANE * len(states)
        self._ones = int.from_bytes(b"\1".ljust(_LANE, b"\0") * len(states), "little")
        self._quotients = self._ones * _QUOTIENT
        # In each lane 2^63 + bound - 1, from which a bucket below the bound leaves the highest bit.
        limits = b"".join((_HIGHEST + bound - 1).to_bytes(_LANE, "little") for bound in bounds)
        self._limits = int.from_bytes(limits, "little")
        self._unpack = Struct(f"<{len(states)}Q").unpack
        self._by_length: dict[int, int] = {}

    def of(self, encoded: bytes) -> Sequence[int]:
        """Return the bucket, less one, that an entity's id has in each of the flags, or 1 where it is below the bound.

        With bounds it is 0 elsewhere.
        """
        found = self._found(encoded)
        if not self._limits:
            return self._unpack(found.to_bytes(self._bytes, "little"))
        below = (self._limits - found) >> 63 & self._ones
        # Small numbers that are there already: no memory is asked for.
        return below.to_bytes(self._bytes, "little")[::_LANE]

    def _found(self, encoded: bytes) -> int:
        known = self._by_length.get(len(encoded))
        if known is None:
            known = self._learn(len(encoded))
        hashes = known ^ self._ones * crc32(encoded)
        quotients = hashes * _FACTOR >> _SHIFT & self._quotients
        return hashes - quotients * BUCKETS

    def _learn(self, length: int) -> int:
        """Find in what the CRC-32 that goes on from each state differs from that of ids of this length alone."""
        some = bytes(length)
        alone = crc32(some)
        lanes = b"".join((crc32(some, state) ^ alone).to_bytes(_LANE, "little") for state in self._states)
        known = int.from_bytes(lanes, "little")
        if len(self._by_length) * self._bytes >= _MOST_KEPT:
            self._by_length.clear()
        self._by_length[length] = known
        return known
