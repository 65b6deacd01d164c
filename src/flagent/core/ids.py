"""The numbers that flags and their parts get: the last one given out of each kind, and the next.

An id is never given out twice, not even when its owner is deleted: buckets depend on flag ids,
and clients remember the others. Two processes can't give out the same id either, since only one
of them gets its change into the log under a revision; the other decides again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from ..errors import InvalidFlag
from .changes import Change
from .model import MAX_ID, Flag

#: Everything that has an id of its own.
Kind = Literal["flag", "segment", "constraint", "distribution", "variant", "tag"]


class Ids(Struct, frozen=True):
    """The largest id of each kind that was ever given out; 0 when none was."""

    flag: int = 0
    segment: int = 0
    constraint: int = 0
    distribution: int = 0
    variant: int = 0
    tag: int = 0

    def after(self, changes: Iterable[Change]) -> Ids:
        """Return the ids as they are when these changes have happened, whoever made them."""
        largest: dict[str, int] = msgspec.structs.asdict(self)
        for change in changes:
            largest["flag"] = max(largest["flag"], change.flag_id)
            for kind, number in () if change.flag is None else _numbers(change.flag):
                largest[kind] = max(largest[kind], number)
        return Ids(**largest)


class Allocator:
    """Gives out the ids that follow `ids`; belongs to one decision and is thrown away with it."""

    def __init__(self, ids: Ids) -> None:
        self._last: dict[str, int] = msgspec.structs.asdict(ids)

    def next(self, kind: Kind) -> int:
        """Return an id that nothing of this kind ever had.

        Raises:
            InvalidFlag: all of them are used up.
        """
        if self._last[kind] >= MAX_ID:
            raise InvalidFlag(f"{kind}: no id is left, {MAX_ID} was the last")
        self._last[kind] += 1
        return self._last[kind]

    @property
    def ids(self) -> Ids:
        """The largest ids, those given out here included."""
        return Ids(**self._last)


def _numbers(flag: Flag) -> Iterator[tuple[Kind, int]]:
    for segment in flag.segments:
        yield "segment", segment.id
        for constraint in segment.constraints:
            yield "constraint", constraint.id
        for distribution in segment.distributions:
            yield "distribution", distribution.id
    for variant in flag.variants:
        yield "variant", variant.id
    for tag in flag.tags:
        yield "tag", tag.id
