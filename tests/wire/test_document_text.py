"""JSON and YAML text of documents."""

from typing import Any

import pytest
from flag_strategies import JSON, flag_sets
from hypothesis import given

from flagent.core.documents import export_document
from flagent.core.model import Flag
from flagent.errors import DecodeError
from flagent.wire.document_text import MAX_DEPTH, format_json, format_yaml, parse_json, parse_yaml


@given(JSON)
def test_yaml_that_was_written_is_read_as_the_same_value(value: Any) -> None:
    assert repr(parse_yaml(format_yaml(value).decode())) == repr(value)


@given(JSON)
def test_json_that_was_written_is_read_as_the_same_value(value: Any) -> None:
    assert repr(parse_json(format_json(value).decode())) == repr(value)


@given(flag_sets())
def test_an_export_in_yaml_is_the_one_in_json(flags: list[Flag]) -> None:
    document = export_document(flags)

    assert parse_yaml(format_yaml(document).decode()) == parse_json(format_json(document).decode())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("on", "on", id="on-is-a-text"),
        pytest.param("[yes, No, True, y]", ["yes", "No", "True", "y"], id="words-are-texts"),
        pytest.param("[true, false]", [True, False], id="booleans"),
        pytest.param("[null, ~, ]", [None, None], id="nulls"),
        pytest.param("[5, -5, 0]", [5, -5, 0], id="integers"),
        pytest.param("[1.5, -0.5, 1.0e+3]", [1.5, -0.5, 1000.0], id="floats"),
        pytest.param(
            "[010, 0x1f, 1_000, 1e3, +5, .5, .inf]", ["010", "0x1f", "1_000", "1e3", "+5", ".5", ".inf"], id="no-json"
        ),
        pytest.param("[2024-01-01, 12:30:45]", ["2024-01-01", "12:30:45"], id="dates-are-texts"),
        pytest.param("['5', \"true\", ! 5, !!str 5]", ["5", "true", "5", "5"], id="quoted"),
        pytest.param("on: 1\n5: 2\ntrue: 3", {"on": 1, "5": 2, "true": 3}, id="names-are-texts"),
        pytest.param("# nothing", None, id="empty"),
        pytest.param("a: &x 1", {"a": 1}, id="an-anchor-alone-does-no-harm"),
    ],
)
def test_yaml_has_the_types_of_json_only(text: str, value: Any) -> None:
    assert parse_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("a: &a [x]\nb: [*a, *a]", r"line 2, column 5: alias \*a: aliases are not supported", id="alias"),
        pytest.param("a: {<<: {b: 1}}", "merging", id="merge"),
        pytest.param("!!python/object/apply:os.system ['true']", "tag .* is not supported", id="python-tag"),
        pytest.param("!!set {a, b}", "tag .* is not supported", id="set"),
        pytest.param("!!int '5'", "tag .* is not supported", id="scalar-tag"),
        pytest.param("a: 1\na: 2", "line 2, column 1: member 'a' is there twice", id="member-twice"),
        pytest.param("? [a]\n: 1", "the name of a member must be a text", id="list-as-name"),
        pytest.param("--- 1\n--- 2", "more than one document", id="two-documents"),
        pytest.param("[" * (MAX_DEPTH + 1), "nested deeper", id="too-deep"),
        pytest.param("[" * 100_000, "nested deeper", id="far-too-deep"),
        pytest.param("9" * 5000, "too large", id="endless-integer"),
        pytest.param("1.0e+999", "too large", id="infinite"),
        pytest.param("a: [", "while parsing", id="syntax"),
        pytest.param("a: \x07", "control characters", id="control-character"),
        pytest.param('a: "\\ud800"', "invalid Unicode", id="escaped-surrogate"),
        pytest.param("a: \ud800", "surrogates not allowed", id="surrogate"),
    ],
)
def test_yaml_that_is_more_than_json_or_exceeds_a_limit_is_refused(text: str, error: str) -> None:
    with pytest.raises(DecodeError, match=error):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("{", "truncated", id="syntax"),
        pytest.param("NaN", "malformed", id="nan"),
        pytest.param("1e999", "out of range", id="infinite"),
        pytest.param('"\\udc00"', "surrogate", id="surrogate"),
        pytest.param("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper", id="too-deep"),
        pytest.param("[" * 100_000, "nested deeper", id="far-too-deep"),
        pytest.param("9" * 5000, "out of range", id="endless-integer"),
    ],
)
def test_json_that_can_not_be_read_or_exceeds_a_limit_is_refused(text: str, error: str) -> None:
    with pytest.raises(DecodeError, match=error):
        parse_json(text)


def test_the_deepest_nesting_is_read_in_both_forms() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    assert parse_json(text) == parse_yaml(text)
