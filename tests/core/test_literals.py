"""The values of openflagr's constraints, as plain values."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagent.core.literals import plain_value
from flagent.core.model import OPERATORS
from flagent.errors import InvalidFlag


@pytest.mark.parametrize(
    ("operator", "literal", "value"),
    [
        pytest.param("EQ", '"US"', "US", id="text"),
        pytest.param("NEQ", ' "New Zealand, South" ', "New Zealand, South", id="text-with-blanks"),
        pytest.param("EQ", "10", "10", id="integer"),
        pytest.param("EQ", "-1.50", "-1.5", id="fraction"),
        pytest.param("EQ", "10.0", "10", id="integral-float"),
        pytest.param("EQ", "1e3", "1000", id="exponent"),
        pytest.param("EQ", "TRUE", "true", id="boolean"),
        pytest.param("LT", "21", "21", id="order"),
        pytest.param("EREG", '"^a.*b$"', "^a.*b$", id="pattern"),
        pytest.param("EREG", r'"^\d+$"', r"^\d+$", id="escapes-that-are-not-of-go-stay"),
        pytest.param("NEREG", r"/^5\d\d/", r"^5\d\d", id="slashed-pattern"),
        pytest.param("IN", '["US","CA"]', "US,CA", id="list"),
        pytest.param("NOTIN", '[ "US" , "New York" ]', "US,New York", id="list-with-blanks"),
        pytest.param("IN", "[1, 2.5]", "1,2.5", id="list-of-numbers"),
    ],
)
def test_a_literal_becomes_the_plain_value_that_means_the_same(operator: str, literal: str, value: str) -> None:
    assert plain_value("p", operator, literal) == value


@pytest.mark.parametrize(
    ("operator", "literal", "error"),
    [
        pytest.param("EQ", "US", "double quotes", id="bare-word"),
        pytest.param("EQ", '"a" OR "b"', "double quotes", id="expression"),
        pytest.param("EQ", "{other}", "double quotes", id="reference"),
        pytest.param("EQ", "007", "double quotes", id="leading-zeros"),
        pytest.param("EQ", "12345678901234567890", "too large", id="beyond-float"),
        pytest.param("LT", "1e999", "too large", id="infinite"),
        pytest.param("LT", '"10"', "must be a number", id="text-in-order"),
        pytest.param("EREG", "10", "double quotes", id="number-as-pattern"),
        pytest.param("EREG", r'"a\\.b"', "read these backslashes differently", id="escapes-of-go"),
        pytest.param("EQ", r'"a\"b"', "read these backslashes differently", id="escaped-quote"),
        pytest.param("IN", '"US"', "must be a list", id="no-list"),
        pytest.param("IN", "[]", "must be a list", id="empty-list"),
        pytest.param("IN", '["US", 1]', "must be of one type", id="mixed-list"),
        pytest.param("IN", "[true]", "must be of one type", id="list-of-booleans"),
        pytest.param("IN", '["a,b"]', "has a comma", id="comma"),
        pytest.param("IN", '[" a"]', "blanks around it", id="blanks"),
        pytest.param("IN", '[""]', "is empty", id="empty-item"),
        pytest.param("CONTAINS", '"admin"', "equal element", id="contains"),
    ],
)
def test_what_would_mean_something_else_is_refused(operator: str, literal: str, error: str) -> None:
    with pytest.raises(InvalidFlag, match=error):
        plain_value("p", operator, literal)


@pytest.mark.parametrize("property", ["user.name", "user}{name", "users[0]", "a b", ""])
def test_a_path_is_no_property(property: str) -> None:
    with pytest.raises(InvalidFlag, match="not paths"):
        plain_value(property, "EQ", '"x"')


@given(st.sampled_from([*OPERATORS, "OTHER"]), st.text('"/[]\\,.019eE-atru \n') | st.text())
def test_any_literal_is_either_converted_or_refused(operator: str, literal: str) -> None:
    with contextlib.suppress(InvalidFlag):
        assert isinstance(plain_value("p", operator, literal), str)


@given(
    st.lists(
        st.text(st.characters(exclude_characters='"\\\n')).filter(lambda item: item == item.strip() and "," not in item)
    )
)
def test_lists_keep_their_items(items: list[str]) -> None:
    literal = "[" + ", ".join(f'"{item}"' for item in items) + "]"

    with contextlib.suppress(InvalidFlag):
        assert plain_value("p", "IN", literal).split(",") == items
