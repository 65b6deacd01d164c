"""What a variant means to a program that wants a value of a type."""

from __future__ import annotations

from typing import Any

import pytest
from flag_strategies import JSON
from hypothesis import given
from hypothesis import strategies as st

from flagent.core.results import EvalResult, Reason
from flagent.core.typed import MISSING, bool_of, float_of, int_of, json_of, str_of


def result(key: str | None, attachment: dict[str, Any] | None = None) -> EvalResult:
    return EvalResult("a", Reason.MATCH if key else Reason.NO_MATCH, variant_key=key, variant_attachment=attachment)


@pytest.mark.parametrize("key", ["true", "on", "ON", "yes", "Enabled", "1"])
def test_keys_that_are_true(key: str) -> None:
    assert bool_of(result(key)) is True


@pytest.mark.parametrize("key", ["false", "off", "Off", "no", "disabled", "0"])
def test_keys_that_are_false(key: str) -> None:
    assert bool_of(result(key)) is False


@pytest.mark.parametrize("key", ["control", "treatment", "", "2", "truee"])
def test_keys_that_are_no_boolean(key: str) -> None:
    assert bool_of(result(key or None)) is MISSING


@pytest.mark.parametrize(
    ("key", "whole", "number"),
    [
        ("42", 42, 42.0),
        ("-7", -7, -7.0),
        ("+7", 7, 7.0),
        ("007", 7, 7.0),
        ("1.5", MISSING, 1.5),
        (".5", MISSING, 0.5),
        ("1e3", MISSING, 1000.0),
        ("1e999", MISSING, MISSING),
        ("inf", MISSING, MISSING),
        ("1_000", MISSING, MISSING),
        ("٣", MISSING, MISSING),
        ("3 ", MISSING, MISSING),
        ("blue", MISSING, MISSING),
        ("9" * 400, MISSING, MISSING),
    ],
)
def test_keys_that_are_numbers(key: str, whole: Any, number: Any) -> None:
    assert int_of(result(key)) == whole
    assert float_of(result(key)) == number


@pytest.mark.parametrize(
    ("value", "boolean", "text", "whole", "number"),
    [
        (True, True, MISSING, MISSING, MISSING),
        (False, False, MISSING, MISSING, MISSING),
        ("3", MISSING, "3", MISSING, MISSING),
        ("", MISSING, "", MISSING, MISSING),
        (3, MISSING, MISSING, 3, 3.0),
        (3.0, MISSING, MISSING, 3, 3.0),
        (3.5, MISSING, MISSING, MISSING, 3.5),
        (2**53 + 1, MISSING, MISSING, 2**53 + 1, MISSING),
        (10**400, MISSING, MISSING, 10**400, MISSING),
        (None, MISSING, MISSING, MISSING, MISSING),
        ([1], MISSING, MISSING, MISSING, MISSING),
    ],
)
def test_the_attachments_value_wins_over_the_key_and_is_never_cut(
    value: Any, boolean: Any, text: Any, whole: Any, number: Any
) -> None:
    one = result("on", {"value": value})

    assert [bool_of(one), str_of(one), int_of(one), float_of(one)] == [boolean, text, whole, number]
    assert json_of(one) == value


def test_a_text_is_the_key_and_json_is_the_attachment() -> None:
    assert str_of(result("blue", {"color": "#00f"})) == "blue"
    assert json_of(result("blue", {"color": "#00f"})) == {"color": "#00f"}
    assert json_of(result("blue")) is MISSING


@given(st.none() | st.text(min_size=1, max_size=8), st.none() | st.dictionaries(st.just("value") | st.text(), JSON))
def test_a_value_is_of_its_type_or_missing(key: str | None, attachment: dict[str, Any] | None) -> None:
    one = result(key, attachment)
    kinds: list[tuple[Any, type]] = [(bool_of, bool), (str_of, str), (int_of, int), (float_of, float)]
    for of, kind in kinds:
        value = of(one)
        assert value is MISSING or type(value) is kind
        if key is None and "value" not in (attachment or {}):
            assert value is MISSING
