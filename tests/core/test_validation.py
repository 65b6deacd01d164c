"""What is accepted, and that every refusal names the field and the value."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagent.core import validation
from flagent.core.model import OPERATORS, Constraint, Distribution, Flag, Variant
from flagent.errors import InvalidFlag

FLAG = Flag(id=1, key="f", variants=(Variant(1, "a"), Variant(2, "b")))


@pytest.mark.parametrize("key", ["a", "A-z_0/9.b:c", "7", "x" * 63])
def test_keys_of_flagent_are_accepted(key: str) -> None:
    validation.check_key(key)


@pytest.mark.parametrize(
    "key",
    ["", " ", "a b", "a\n", "é", "a,b", "ключ", "x" * 64, "a\x00"],
    ids=lambda key: ascii(key[:6]) + str(len(key)),
)
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(InvalidFlag, match=r"^key: "):
        validation.check_key(key)


@pytest.mark.parametrize("value", ["a", "two words", "team:a/b.c-d_e", "x" * 63])
def test_tags_may_contain_blanks(value: str) -> None:
    validation.check_tag(value)


@pytest.mark.parametrize("value", ["", "   ", "a\tb", "a,b", "x" * 64], ids=["empty", "blank", "tab", "comma", "long"])
def test_other_tags_are_refused(value: str) -> None:
    with pytest.raises(InvalidFlag, match=r"^value: "):
        validation.check_tag(value)


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_of_flagent_is_accepted(operator: str) -> None:
    validation.check_constraint(Constraint("country", operator, "NZ"))


def test_a_comparison_with_a_text_is_accepted_although_it_never_holds() -> None:
    validation.check_constraint(Constraint("age", "LT", "young"))


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (Constraint("", "EQ", "1"), "property: must not be empty"),
        (Constraint("a", "LIKE", "1"), "operator: 'LIKE' is none of EQ, NEQ"),
        (Constraint("a", "eq", "1"), "operator: 'eq'"),
        (Constraint("a", "EQ", ""), "value: must not be empty"),
        (Constraint("a", "EREG", "("), "value: '(' is no regular expression"),
        (Constraint("a", "NEREG", "(?=x)"), "value: '(?=x)' is no regular expression"),
        (Constraint("a", "EREG", "x" * 1001), "value: a pattern of 1001 characters"),
    ],
    ids=["property", "operator", "lower case", "value", "pattern", "look-ahead", "long pattern"],
)
def test_bad_constraints_are_refused(constraint: Constraint, message: str) -> None:
    with pytest.raises(InvalidFlag, match="^" + re.escape(message)):
        validation.check_constraint(constraint)


@pytest.mark.parametrize(
    ("distributions", "message"),
    [
        ([], "distributions: the percents sum to 0, not 100"),
        ([Distribution(1, 99)], "distributions: the percents sum to 99, not 100"),
        ([Distribution(1, 150), Distribution(2, -50)], "distributions[0].percent: 150 is not in 0..100"),
        ([Distribution(1, 50), Distribution(1, 50)], "distributions[1].variantID: variant 1 is listed twice"),
        ([Distribution(9, 100)], "distributions[0].variantID: flag 'f' has no variant 9"),
        ([Distribution(1, 100, "b")], "distributions[0].variantKey: variant 1 is 'a', not 'b'"),
    ],
    ids=["empty", "sum", "percent", "repeated", "foreign", "key"],
)
def test_bad_distributions_are_refused(distributions: list[Distribution], message: str) -> None:
    with pytest.raises(InvalidFlag, match="^" + re.escape(message)):
        validation.check_distributions(FLAG, distributions)


def nested(depth: int, innermost: Any) -> dict[str, Any]:
    value = innermost
    for _ in range(depth - 1):
        value = [value]
    return {"a": value}


def test_attachments_may_be_nested_to_the_limit() -> None:
    validation.check_attachment(None)
    validation.check_attachment({})
    validation.check_attachment(nested(validation.MAX_ATTACHMENT_DEPTH, 1))


def test_attachments_nested_deeper_are_refused() -> None:
    with pytest.raises(InvalidFlag, match=r"^attachment: nested deeper than 32"):
        validation.check_attachment(nested(validation.MAX_ATTACHMENT_DEPTH + 1, 1))


@given(st.text())
def test_a_refusal_never_echoes_more_than_a_line(key: str) -> None:
    try:
        validation.check_key(key * 10)
    except InvalidFlag as exc:
        assert len(str(exc)) < 1000
        assert "\n" not in str(exc)
