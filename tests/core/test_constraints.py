"""Conditions: one row for each rule that clients read differently."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagent.core.constraints import compile_constraint
from flagent.core.model import OPERATORS, Constraint
from flagent.core.texts import number, text

#: What every client reads as a number.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?Infinity|[+-]?NaN")


def holds(operator: str, value: str, given_value: Any) -> bool:
    return compile_constraint(Constraint("p", operator, value))({"p": given_value})


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", "x"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (-0.0, "0"),
        (1.0, "1"),
        (1.5, "1.5"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (None, None),
        ([1], None),
        ({"a": 1}, None),
        pytest.param(10**5000, None, id="more digits than Python writes"),
        (Unspeakable(), None),
    ],
)
def test_every_value_has_one_text_or_none(value: object, expected: str | None) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" 7 ", 7.0),
        ("+1.5e3", 1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("Infinity", float("inf")),
        ("", None),
        ("1_000", None),
        ("٣", None),
        ("inf", None),
        ("0x10", None),
        ("1.5d", None),
        ("1,5", None),
    ],
)
def test_numbers_are_those_that_every_client_reads(value: str, expected: float | None) -> None:
    assert number(value) == expected


@given(
    st.text("+-.019eE_x \t\x00\x85٣", max_size=8)
    | st.from_regex(_NUMBER)
    | st.from_regex(r"(?i)[+-]{0,2}(inf(inity)?|nan)")
)
def test_numbers_are_those_of_the_grammar(value: str) -> None:
    trimmed = value.strip("".join(map(chr, range(0x21))))

    assert (number(value) is not None) is (_NUMBER.fullmatch(trimmed) is not None)
    assert number(value) is None or repr(number(value)) == repr(float(trimmed))


@pytest.mark.parametrize("operator", [*OPERATORS, "??"])
def test_a_missing_property_meets_no_condition(operator: str) -> None:
    holds_of = compile_constraint(Constraint("p", operator, "1"))

    assert (holds_of({}), holds_of({"p": None})) == (False, False)


@pytest.mark.parametrize(
    ("operator", "value", "given_value", "expected"),
    [
        ("EQ", "é", "e\u0301", False),
        ("EQ", "1", 1.0, True),
        ("EQ", "1", True, False),
        ("NEQ", "a", ["a"], True),
        ("EQ", "a", ["a"], False),
        ("IN", "a, b ,c", "b", True),
        ("IN", "a,,b", "", True),
        ("IN", '["US"]', "US", False),
        ("NOTIN", "a,b", {"a": 1}, True),
        ("CONTAINS", "bc", "abcd", True),
        ("CONTAINS", "bc", ["x", "abcd"], True),
        ("CONTAINS", "bc", [["bc"]], False),
        ("CONTAINS", "bc", {"bc": 1}, False),
        ("NOTCONTAINS", "bc", ["x"], True),
        ("NOTCONTAINS", "bc", {"bc": 1}, True),
        ("EREG", "b", "abc", True),
        ("EREG", "^b", "abc", False),
        ("EREG", "(", "(", False),
        ("NEREG", "(", "(", True),
        ("EREG", "b", "a" * 4095 + "b", True),
        ("EREG", "a.*b", "a" * 100_000 + "b", True),
        ("EREG", "a.*b", "a" * 2_000_000 + "b", False),
        ("NEREG", "a.*b", "a" * 2_000_000 + "b", True),
        ("EREG", r"(?=a)", "a", False),
        ("EREG", "b", "\ud800b", True),
        ("EREG", "\ud800", "x", False),
        ("NEREG", "a", ["a"], True),
        ("GT", "9", "10", True),
        ("GT", "nine", "10", False),
        ("LT", "9", "many", False),
        ("LTE", "NaN", "NaN", False),
        ("LT", "9", [1], False),
        ("??", "a", "a", False),
    ],
)
def test_each_operator_reads_values_in_its_way(operator: str, value: str, given_value: Any, expected: bool) -> None:
    assert holds(operator, value, given_value) is expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(operator=st.sampled_from(OPERATORS), value=st.text(max_size=8), given_value=json_values)
def test_no_value_makes_a_condition_raise(operator: str, value: str, given_value: Any) -> None:
    assert holds(operator, value, given_value) in (True, False)


@given(
    pair=st.sampled_from([("EQ", "NEQ"), ("IN", "NOTIN"), ("CONTAINS", "NOTCONTAINS"), ("EREG", "NEREG")]),
    value=st.text(max_size=8),
    given_value=json_values.filter(lambda value: value is not None),
)
def test_a_negative_operator_is_the_opposite_for_every_value_that_is_there(
    pair: tuple[str, str], value: str, given_value: Any
) -> None:
    positive, negative = pair

    assert holds(positive, value, given_value) is not holds(negative, value, given_value)


@pytest.mark.covers("I6")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["(x+x+)+y", "a[ab]{500}c", "(a|b)*a(a|b){300}(a|b){300}c", "a" + "[ab]{999}" * 20])
def test_no_pattern_takes_long_however_long_the_text_is(pattern: str) -> None:
    chance = random.Random(1)
    holds = compile_constraint(Constraint("p", "EREG", pattern))

    # A megabyte, for which the worst of them took half a minute; and the longest that is looked at.
    for length in (1 << 20, 5000):
        assert not holds({"p": "".join(chance.choices("ab", k=length))})
