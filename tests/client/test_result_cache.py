"""The cache of answers against a simple model, and the names of contexts."""

from __future__ import annotations

import enum
import math
import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flagent.client.canonical import canonical
from flagent.client.result_cache import ResultCache

TTL, STALE_FOR, MOST = 10, 20, 3
KEYS = st.sampled_from("abcde")


class CacheAgainstModel(RuleBasedStateMachine):
    """The model is a list of keys, the one used last at its end, with value and moment."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.count = 0
        self.hits = 0
        self.model: list[tuple[str, int, float]] = []
        self.cache: ResultCache[int] = ResultCache(
            ttl=TTL, stale_for=STALE_FOR, max_entries=MOST, clock=lambda: self.now
        )

    def entry(self, key: str) -> tuple[str, int, float] | None:
        return next((each for each in self.model if each[0] == key), None)

    def used(self, entry: tuple[str, int, float]) -> int:
        self.model = [each for each in self.model if each[0] != entry[0]] + [entry]
        return entry[1]

    @rule(seconds=st.integers(0, 15))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(key=KEYS, late=st.integers(0, 12))
    def put(self, key: str, late: int) -> None:
        self.count += 1
        asked_at, held = self.now - late, self.entry(key)
        self.cache.put(key, self.count, asked_at)
        if held is None or held[2] <= asked_at:
            self.used((key, self.count, asked_at))
            self.model = self.model[-MOST:]

    @rule(key=KEYS)
    def fresh(self, key: str) -> None:
        held = self.entry(key)
        expected = self.used(held) if held is not None and self.now - held[2] < TTL else None
        assert self.cache.fresh(key) == expected
        self.hits += expected is not None

    @rule(key=KEYS)
    def kept(self, key: str) -> None:
        held = self.entry(key)
        if held is not None and self.now - held[2] >= TTL + STALE_FOR:
            self.model.remove(held)
            held = None
        assert self.cache.kept(key) == (None if held is None else self.used(held))

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.model = []

    @invariant()
    def counts_are_the_models(self) -> None:
        assert (len(self.cache), self.cache.hits) == (len(self.model), self.hits)


CacheAgainstModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCacheAgainstModel = CacheAgainstModel.TestCase


def test_cache_of_no_entries_keeps_nothing() -> None:
    cache: ResultCache[int] = ResultCache(ttl=10, stale_for=0, max_entries=0, clock=lambda: 0.0)

    cache.put("a", 1, 0.0)

    assert (cache.fresh("a"), cache.kept("a"), len(cache)) == (None, None, 0)


def test_many_threads_neither_break_it_nor_lose_hits() -> None:
    cache: ResultCache[int] = ResultCache(ttl=10, stale_for=0, max_entries=50, clock=lambda: 0.0)
    cache.put("held", 1, 0.0)

    def work(number: int) -> None:
        for each in range(500):
            cache.put((number, each % 5), each, 0.0)
            assert cache.fresh("held") == 1
            cache.kept((number + 1, each % 5))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (cache.hits, len(cache)) == (2000, 21)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
#: What JSON carries as it is.
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def shuffled(value: Any) -> Any:
    """Return the same value, with the members of all objects the other way round."""
    if isinstance(value, dict):
        return OrderedDict((name, shuffled(each)) for name, each in reversed(value.items()))
    return [shuffled(each) for each in value] if isinstance(value, list) else value


@given(VALUES)
def test_order_of_members_does_not_matter(value: Any) -> None:
    assert canonical(value) == canonical(shuffled(value))


def typed(value: Any) -> Any:
    """Return a value that is equal only for the same types of values, in any order of members."""
    if isinstance(value, dict):
        return {name: typed(each) for name, each in value.items()}
    return [typed(each) for each in value] if isinstance(value, list) else (type(value), repr(value))


@given(VALUES)
def test_name_says_all_about_a_value_so_that_no_two_have_the_same(value: Any) -> None:
    assert typed(msgspec.json.decode(canonical(value))) == typed(value)


def test_one_and_true_and_their_texts_differ() -> None:
    values = [1, True, "1", "true", 1.0, "1.0", None, "null", 0, False, [], {}, [1], ["1"], {"a": 1}, {"a": True}]

    assert len({canonical(each) for each in values}) == len(values)


class Colour(enum.StrEnum):
    RED = "red"


class Number(int):
    pass


class Foreign:
    def __str__(self) -> str:
        return "foreign"


class Failing:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (math.nan, b'"NaN"'),
        (-math.nan, b'"NaN"'),
        (math.inf, b'"Infinity"'),
        (-math.inf, b'"-Infinity"'),
        (2**64, b'"18446744073709551616"'),
        (2**64 - 1, b"18446744073709551615"),
        (10**5000, b"{}"),
        ((1, 2), b"[1,2]"),
        ({"b", "a"}, b'["a","b"]'),
        ({1, "1", (2,)}, b'["1",1,[2]]'),
        (frozenset({True}), b"[true]"),
        (MappingProxyType({"b": 1, "a": {}}), b'{"a":{},"b":1}'),
        ({1: 2, "1": 3, None: 4, (): 5}, b'{"1":3}'),
        (Colour.RED, b'"red"'),
        ({Colour.RED: Colour.RED}, b'{"red":"red"}'),
        (Number(7), b"7"),
        (uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (b"ab", b"\"b'ab'\""),
        (Foreign(), b'"foreign"'),
        (Failing(), b"{}"),
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_values_that_json_does_not_know_have_the_text_of_constraints(value: object, name: bytes) -> None:
    assert canonical(value) == name


def test_nan_is_found_again() -> None:
    cache: ResultCache[int] = ResultCache(ttl=10, stale_for=0, max_entries=9, clock=lambda: 0.0)
    cache.put(canonical({"a": math.nan}), 1, 0.0)

    cache.put(canonical({"a": float("nan")}), 2, 0.0)

    assert (cache.fresh(canonical({"a": -math.nan})), len(cache)) == (2, 1)


class Unreadable(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:
        raise OSError("gone")

    def __iter__(self) -> Any:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value", [Unreadable(), endless(), "\ud800", {"\ud800": 1}], ids=["raises", "endless", "v", "n"]
)
def test_value_that_can_not_be_read_is_an_error(value: object) -> None:
    with pytest.raises((OSError, RecursionError, UnicodeEncodeError)):
        canonical(value)
