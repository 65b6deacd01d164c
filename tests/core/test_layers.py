"""Layered mappings: they are what a dictionary would be, and leave what they were made from as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagent.core.layers import Layered

_keys = st.integers(0, 9)
_steps = st.lists(st.tuples(st.dictionaries(_keys, st.integers(), max_size=4), st.sets(_keys, max_size=4)), max_size=8)


@given(base=st.dictionaries(_keys, st.integers()), steps=_steps, looks=st.sets(st.integers(0, 7)))
def test_each_of_a_series_is_what_dictionaries_would_be(
    base: dict[int, int], steps: list[tuple[dict[int, int], set[int]]], looks: set[int]
) -> None:
    mappings, expected = [Layered(base)], [dict(base)]
    for number, (puts, gone) in enumerate(steps):
        mappings.append(mappings[-1].altered(puts, gone))
        expected.append({key: value for key, value in expected[-1].items() if key not in gone} | puts)
        # Going through all of them puts the layers together.
        assert number not in looks or dict(mappings[-1].items()) == expected[-1]

    for mapping, wanted in zip(mappings, expected, strict=True):
        assert [mapping.get(key, "none") for key in range(10)] == [wanted.get(key, "none") for key in range(10)]
        assert [key in mapping for key in range(10)] == [key in wanted for key in range(10)]
        assert (dict(mapping), len(mapping), set(mapping)) == (wanted, len(wanted), set(wanted))
        assert sorted(mapping.values()) == sorted(wanted.values())


def test_many_changes_are_put_together() -> None:
    mapping = Layered(dict.fromkeys(range(1000), 0))

    for number in range(1000):
        mapping = mapping.altered({number: 1}, ())

    assert set(mapping.values()) == {1}


def test_what_is_gone_is_not_there() -> None:
    mapping = Layered({1: 1}).altered({}, {1})

    with pytest.raises(KeyError):
        mapping[1]
