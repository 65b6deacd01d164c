"""Flags that are stated without a server: what each value means, and that users keep their buckets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagent.core.changes import Snapshot
from flagent.core.evaluation import Ruleset
from flagent.core.given import flag_of, flags_of_document, flags_of_values
from flagent.core.model import Flag
from flagent.core.typed import MISSING, bool_of, float_of, int_of, json_of, str_of
from flagent.errors import ConfigurationError

keys = st.text("abcdefgh_-/.:0123", min_size=1, max_size=12)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def evaluated(value: Any) -> Any:
    return Ruleset.compile(Snapshot.of("", 0, (flag_of("flag", value),))).evaluate("flag", "user123")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (True, bool_of),
        ("dark", str_of),
        ("has blanks", str_of),
        ("", str_of),
        (42, int_of),
        (-1, int_of),
        (0.5, float_of),
    ],
    ids=["true", "key", "blanks", "empty", "number", "negative", "fraction"],
)
def test_value_is_what_a_program_of_that_type_gets(value: Any, read: Any) -> None:
    result = evaluated(value)

    assert result.is_enabled()
    assert read(result) == value


@pytest.mark.parametrize("value", [False, None], ids=repr)
def test_false_and_null_are_flags_that_are_switched_off(value: Any) -> None:
    result = evaluated(value)

    assert not result.is_enabled()
    assert bool_of(result) is MISSING


@pytest.mark.parametrize("value", ["dark", "a/b", "42"])
def test_text_that_can_be_a_key_is_the_variant_too(value: str) -> None:
    assert evaluated(value).variant_key == value


def test_members_of_an_object_are_the_attachment() -> None:
    result = evaluated({"columns": 3})

    assert result.variant_key == "on"
    assert result.get_attachment_value("columns") == 3


@given(json_values.filter(lambda value: value is not None and value is not False and value is not True))
def test_any_json_comes_back_as_it_was(value: Any) -> None:
    assert json_of(evaluated(value)) == value


@given(st.dictionaries(keys, st.booleans(), max_size=20), st.dictionaries(keys, st.booleans(), max_size=5))
def test_flags_keep_their_ids_whatever_else_there_is(values: dict[str, Any], others: dict[str, Any]) -> None:
    alone = {flag.key: flag.id for flag in flags_of_values(values)}
    together = {flag.key: flag.id for flag in flags_of_values(others | values)}

    assert len(set(together.values())) == len(together)
    assert {key: together[key] for key in values} == alone


def test_keys_whose_ids_would_be_the_same_get_different_ones() -> None:
    # These two have the same CRC-32.
    flags = flags_of_values({"plumless": True, "buckeroo": True})

    assert len({flag.id for flag in flags}) == 2


def test_document_has_rules_and_tags() -> None:
    document = {
        "version": "1",
        "flags": [
            {
                "key": "checkout",
                "enabled": True,
                "tags": ["shop"],
                "variants": [{"key": "on"}],
                "segments": [
                    {
                        "constraints": [{"property": "country", "operator": "EQ", "value": "DE"}],
                        "distributions": [{"variantKey": "on", "percent": 100}],
                    }
                ],
            }
        ],
    }

    (flag,) = flags_of_document(document)
    ruleset = Ruleset.compile(Snapshot.of("", 0, (flag,)))

    assert [tag.value for tag in flag.tags] == ["shop"]
    assert ruleset.evaluate("checkout", "u", {"country": "DE"}).is_enabled()
    assert not ruleset.evaluate("checkout", "u", {"country": "FR"}).is_enabled()


def test_a_flag_stays_as_it_is() -> None:
    flag = Flag(id=7, key="checkout", enabled=True)

    assert flag_of("checkout", flag) is flag


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (lambda: flags_of_values({"no blanks": True}), "no blanks"),
        (lambda: flags_of_values({7: True}), "7"),  # type: ignore[dict-item]
        (lambda: flags_of_values({"flag": object()}), "object"),
        (lambda: flag_of("other", Flag(id=1, key="flag")), "'flag'"),
        (lambda: flags_of_document({"version": "1", "flags": [{"key": "a"}, {"key": "a"}]}), "twice"),
        (lambda: flags_of_document({"version": "9", "flags": []}), "version"),
    ],
    ids=["blank", "number", "object", "other-key", "twice", "version"],
)
def test_what_is_no_flag_is_refused_by_name(state: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        state()
