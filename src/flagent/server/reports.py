"""What workers have counted, added up. Values and functions: how they get here is another matter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec
from msgspec import Struct
from msgspec.structs import replace

#: How the samples end that are the moments when counters began, and no counts.
_CREATED = "_created"


class Across(StrEnum):
    """What a number is for all workers together."""

    #: Counted since the start: added up, and what workers have counted that are gone still counts.
    TOTAL = "total"
    #: How much there is now: added up.
    SUM = "sum"
    #: All workers have the same, give or take a moment: that of the one who was asked.
    SAME = "same"


class Sample(Struct, frozen=True, array_like=True):
    """One number."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Family(Struct, frozen=True):
    """One metric.

    Attributes:
        kind: what Prometheus calls a counter, gauge or histogram.
        documentation: what it is, for people.
        across: what it is for all workers together.
        samples: its numbers.
    """

    kind: str
    documentation: str
    across: Across
    samples: list[Sample]


Report = dict[str, Family]

_decode = msgspec.json.Decoder(Report).decode
_encode = msgspec.json.Encoder().encode


def encode(report: Report) -> bytes:
    """Return a report as workers send it to each other."""
    return _encode(report)


def decode(report: bytes) -> Report:
    """Return the report that another worker of this server has sent."""
    return _decode(report)


def lasting(report: Mapping[str, Family]) -> Report:
    """Return what still counts when the worker is gone."""
    return {name: family for name, family in report.items() if family.across is Across.TOTAL}


def merged(own: Mapping[str, Family], others: Iterable[Mapping[str, Family]]) -> Report:
    """Return one report for all workers, in the order of `own`."""
    rest = tuple(others)
    return {
        name: replace(family, samples=_added(family, [other[name] for other in rest if name in other]))
        for name, family in own.items()
    }


def _added(own: Family, others: Iterable[Family]) -> list[Sample]:
    if own.across is Across.SAME:
        return own.samples
    found = {(sample.name, sample.labels): sample.value for sample in own.samples}
    for family in others:
        for sample in family.samples:
            key = (sample.name, sample.labels)
            before = found.get(key)
            if before is None:
                found[key] = sample.value
            else:
                found[key] = min(before, sample.value) if sample.name.endswith(_CREATED) else before + sample.value
    return [Sample(name, labels, value) for (name, labels), value in found.items()]
