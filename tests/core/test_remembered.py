"""What a pattern keeps of the last texts: it is never wrong, it is little, and flags with the same pattern share it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flagent.core.compiled import decider
from flagent.core.interpreter import Interpreter
from flagent.core.model import Constraint, Distribution, Flag, Segment, Variant
from flagent.core.remembered import Remembered, asked
from flagent.core.results import Reason

#: One that `re` is given, one with a question mark, and one of RE2's.
PATTERNS = ["^[a-z]+@(acme|example)[a-z]*$", r"^[?a-z]+@acme$", "(?i)@acm[de]$"]
#: One that is a `Literal`, of which only what matched is kept.
LITERAL = "^[a-z]+@(acme|example)$"


class Text(str):
    """A text that says of itself what it likes."""

    __slots__ = ()

    def __str__(self) -> str:
        return "x@acme"


def asking(*conditions: tuple[str, str]) -> Flag:
    """Return a flag with conditions on the property `p`, given as operator and value."""
    constraints = tuple(Constraint("p", operator, value) for operator, value in conditions)
    segment = Segment(1, constraints=constraints, distributions=(Distribution(1, 100),))
    return Flag(1, "f", enabled=True, segments=(segment,), variants=(Variant(1, "on"),))


def remembered(pattern: str) -> Remembered:
    how = asked(pattern)
    assert how is not None
    found = how.constants[0]
    assert isinstance(found, Remembered)
    return found


_values = (
    st.sampled_from(["a@acme", "a@example", "A@ACME", "?@acme", "", "x", "\ud800@acme", "é@acme", "a@acme\n"])
    | st.sampled_from([None, 7, 1.5, True, ["a@acme"], {"a": 1}, b"a@acme", Text("a@example"), Text("a"), "a" * 1001])
    | st.text("a@cme?é\ud800", max_size=8)
)
_conditions = st.lists(
    st.tuples(st.sampled_from(["EREG", "NEREG"]), st.sampled_from([*PATTERNS, LITERAL, "(?i)^[a-z]+@acme$"]))
    | st.sampled_from([("NEQ", "a@example"), ("EQ", "a@acme"), ("CONTAINS", "@"), ("EREG", "("), ("NEREG", "(")]),
    min_size=1,
    max_size=3,
)


@settings(max_examples=500, deadline=None)
@given(conditions=_conditions, values=st.lists(_values, min_size=1, max_size=6))
@example(conditions=[("EREG", PATTERNS[2])], values=[b"a@acme", "a@acme", b"a@acme"])
@example(conditions=[("NEREG", PATTERNS[0])], values=["a@acme", None, "a@acme", "x", None, "x"])
@example(conditions=[("EREG", LITERAL)], values=["@acme", "a@acme", None, Text("a"), Text("a@acme"), 7, b"a@acme"])
@example(conditions=[("EREG", "(?i)^[a-z]+@acme$")], values=["@ACME", "A@ACME", "\u212a@acme", None])
def test_whatever_was_asked_before_a_flag_says_what_the_interpreter_says(
    conditions: list[tuple[str, str]], values: list[Any]
) -> None:
    flag = asking(*conditions)
    decide, interpreter = decider(flag), Interpreter(flag)

    # Each value twice in a row, and again after all the others.
    for value in [again for each in values for again in (each, each)] + values:
        assert decide("u", {"p": value}).reason is interpreter.evaluate("u", {"p": value}).reason


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_last_text_that_matches_and_the_last_one_that_does_not_are_kept(pattern: str) -> None:
    decide, kept = decider(asking(("EREG", pattern))), remembered(pattern)

    for text in ("b@acme", "no", "a@acme", "neither"):
        decide("u", {"p": text})

    assert (kept.matched, kept.unmatched) == ("a@acme", "neither")


def test_of_a_pattern_of_texts_what_matched_last_is_kept() -> None:
    decide, kept = decider(asking(("EREG", LITERAL))), remembered(LITERAL)
    unmatched, long = kept.unmatched, "a" * 1001 + "@acme"

    for text in ("b@acme", "a@acme", "neither", "@acme"):
        decide("u", {"p": text})

    assert (kept.matched, kept.unmatched) == ("a@acme", unmatched)
    decide("u", {"p": long})
    assert kept.matched is long


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("end", ["@acme", ""], ids=["matches", "does not"])
def test_a_long_text_is_not_kept(pattern: str, end: str) -> None:
    decide, kept = decider(asking(("EREG", pattern))), remembered(pattern)
    before = kept.matched, kept.unmatched

    decide("u", {"p": "a" * 1001 + end})

    assert (kept.matched, kept.unmatched) == before


def test_flags_with_the_same_pattern_share_what_is_kept() -> None:
    one, other = (decider(asking((operator, PATTERNS[0]))) for operator in ("EREG", "NEREG"))
    text = "shared@acme"

    one("u", {"p": text})

    assert remembered(PATTERNS[0]).matched is text
    assert other("u", {"p": text}).reason is Reason.NO_MATCH


def test_a_text_that_is_known_is_not_looked_through_again() -> None:
    # Each answer is the other one of what the pattern would say.
    kept, decide = remembered(PATTERNS[0]), decider(asking(("EREG", PATTERNS[0])))
    kept.matched, kept.unmatched = "known", "known@acme"

    assert decide("u", {"p": kept.matched}).reason is Reason.MATCH
    assert decide("u", {"p": kept.unmatched}).reason is Reason.NO_MATCH
    kept.matched = kept.unmatched = object()


def test_a_pattern_comes_after_the_other_conditions_of_its_segment() -> None:
    decide, kept = decider(asking(("EREG", PATTERNS[0]), ("EQ", "b@acme"))), remembered(PATTERNS[0])
    before = kept.matched, kept.unmatched

    decide("u", {"p": "a@acme"})

    assert (kept.matched, kept.unmatched) == before


def test_threads_that_ask_about_different_texts_get_right_answers() -> None:
    decide = decider(asking(("EREG", PATTERNS[0])))
    texts = [f"{name}@{place}" for name in "abcdefgh" for place in ("acme", "example", "other")]

    def wrong(text: str) -> int:
        expected = Reason.NO_MATCH if text.endswith("other") else Reason.MATCH
        return sum(decide("u", {"p": text}).reason is not expected for _ in range(2000))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(wrong, texts)) == 0
