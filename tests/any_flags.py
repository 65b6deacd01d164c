"""Flags and arguments of evaluations as Hypothesis draws them: small ones that meet each other often, and odd ones."""

from __future__ import annotations

from collections import OrderedDict, UserDict, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from flagent.core.model import OPERATORS, PROPORTIONAL, THRESHOLD, Constraint, Distribution, Flag, Segment, Variant


class Plan(StrEnum):
    PRO = "a"


class Level(IntEnum):
    THREE = 3


class Text(str):
    """A text that says of itself what it is not."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__

    def __str__(self) -> str:
        return "b"


class Unspeakable:
    """What has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no")


class Unlisted(set[Any]):
    """A set that can't be looked through."""

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("no")


class Raising(Mapping[str, Any]):
    """A mapping that raises when one of the properties is asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> Any:
        if key == "q":
            raise LookupError(key) if len(self._values) % 2 else RuntimeError(key)
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


_PROPERTIES = ("p", "q", "r")
_TEXTS = (
    *("a", "b", "ab", "A", "", " a", "a,b", "a, b ,", "1", "1.0", "1e2", "3", "18", "9007199254740993", "Infinity"),
    *("NaN", "true", "é", "\ud800", "a@b.c", "5" * 400),
)
_PATTERNS = ("a", "^a", "b$", "^[a-z]+$", "^(a|b)$", "^.+@b[.]c$", "(", "a|b", "^a*a$", "[^a]", "", "?", "^\\d+$", "é")

percents = st.sampled_from((0, 1, 10, 25, 33, 34, 50, 75, 90, 99, 100)) | st.integers(-20, 130)
constraints = st.builds(
    Constraint,
    property=st.sampled_from(_PROPERTIES),
    operator=st.sampled_from((*OPERATORS, "EQ", "EQ", "??")),
    value=st.sampled_from((*_TEXTS, *_PATTERNS)) | st.text(max_size=4),
)
distributions = st.builds(Distribution, variant_id=st.integers(1, 4), percent=percents)
segments = st.builds(
    Segment,
    id=st.integers(1, 9),
    rank=st.integers(0, 3),
    rollout_percent=st.just(100) | percents,
    constraints=st.lists(constraints, max_size=3).map(tuple),
    distributions=(st.lists(distributions, max_size=3) | st.lists(distributions, max_size=12)).map(tuple),
)


@st.composite
def _chains(draw: st.DrawFn) -> list[Segment]:
    """Draw segments that look at the same property one after the other."""
    name = draw(st.sampled_from(_PROPERTIES))
    values = draw(st.lists(st.sampled_from(_TEXTS), min_size=2, max_size=6))
    shares = draw(st.lists(distributions, min_size=1, max_size=2).map(tuple))
    return [
        Segment(
            10 + number, 0, 100, constraints=(Constraint(name, "EQ", value),), distributions=shares[: 1 + number % 2]
        )
        for number, value in enumerate(values)
    ]


variants = st.builds(
    Variant, id=st.integers(1, 4), key=st.sampled_from("abc"), attachment=st.none() | st.just({"value": 1})
)
flags = st.builds(
    Flag,
    id=st.integers(1, 50) | st.integers(1, 2**40),
    key=st.just("f"),
    enabled=st.sampled_from((True, True, True, True, True, False)),
    snapshot_id=st.integers(0, 9),
    segments=st.builds(
        lambda first, chain, last: (*first, *chain, *last),
        st.lists(segments, max_size=3),
        st.just([]) | _chains(),
        st.lists(segments, max_size=2),
    ),
    variants=st.lists(variants, max_size=4).map(tuple),
    rollout=st.sampled_from((THRESHOLD, PROPORTIONAL)),
)

_odd = st.sampled_from(
    (
        *(None, True, False, 0, 1, 3, 18, 100, -1, 2**53 + 1, 10**400, -(10**400), 10**5000, 1.0, 1.5, -0.0, 1e21),
        *(float("nan"), float("inf"), Plan.PRO, Level.THREE, Text("a"), Decimal("1.0"), b"a", Unspeakable()),
        *([], ["a"], ["a", ["b"]], ("ab",), {"a"}, frozenset({"ab"}), {"a": 1}, Unlisted({"a"}), object),
    )
)
values = st.sampled_from(_TEXTS) | _odd | st.text(max_size=4) | st.integers() | st.floats()
plain_contexts = st.dictionaries(st.sampled_from(_PROPERTIES), values, max_size=3)
_wrapped = st.sampled_from(
    (OrderedDict, UserDict, MappingProxyType, Raising, lambda given: defaultdict(lambda: "a", given), list)
)
contexts = plain_contexts | st.builds(lambda wrap, given: wrap(given), _wrapped, plain_contexts) | _odd
entity_ids = st.text(max_size=8) | st.integers(0, 2000).map("user-{}".format) | values
