"""Patterns for Python's `re`: that it matches what RE2 does, and is never given what it could be slow with."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flagent.core.compiled import decider
from flagent.core.constraints import compile_search
from flagent.core.interpreter import Interpreter
from flagent.core.literal_patterns import Literal
from flagent.core.model import Constraint, Distribution, Flag, Segment, Variant
from flagent.core.patterns import Search, simple

_PIECES = (
    *("a", "b", "A", "1", r"\d", r"\w", ".", "[ab]", "[^a]", "[a-c]", r"[\d-]", "[-a]", "[a-]", "(a|b)", "(?:ab|b)"),
    *(
        "(a|ab)",
        "^",
        "$",
        "*",
        "+",
        "?",
        "{2}",
        "{1,2}",
        "{0,}",
        "{,2}",
        "@",
        r"\.",
        r"\@",
        r"\-",
        r"\$",
        "_",
        "-",
        " ",
    ),
    *(
        r"[^\w]",
        "[$]",
        "[.^]",
        r"\n",
        r"\_",
        "]",
        "}",
        "{",
        r"[a-\d]",
        "[[]",
        r"[\]]",
        "(",
        "|",
        r"[\\]",
        r"\\",
        "[]a]",
    ),
    *(
        "[b-a]",
        "[^]",
        "[_-z]",
        '"',
        "/",
        r"\s",
        r"\b",
        "(?i)",
        "é",
        "[[:alpha:]]",
        "(a)+",
        "[a&&b]",
        "[a--b]",
        "#",
        "~",
    ),
)
_patterns = st.builds(
    lambda first, pieces, last: first + "".join(pieces) + last,
    st.sampled_from(("", "^")),
    st.lists(st.sampled_from(_PIECES), max_size=6),
    st.sampled_from(("", "", "$")),
)
_texts = st.text("abAB1@.\n_- c\\$^]/é٣ſK", max_size=7) | st.text(max_size=5).filter(lambda text: text.isascii())


def asking(pattern: str, operator: str = "EREG") -> Flag:
    """Return a flag that is on where the pattern matches, or does not."""
    segment = Segment(1, constraints=(Constraint("p", operator, pattern),), distributions=(Distribution(1, 100),))
    return Flag(1, "f", enabled=True, segments=(segment,), variants=(Variant(1, "on"),))


def finds(found: Literal | Search, text: str) -> bool:
    """Return whether a pattern that is not RE2's is found in a text."""
    if isinstance(found, Search):
        return found.match(text) is not None
    names = [f"k[{number}]" for number in range(len(found.constants))]
    if found.ascii_only and not text.isascii():
        raise AssertionError("this text is for RE2")
    return bool(eval("lambda v, k: " + found.source.format(*names, v="v"))(text, found.constants))


@settings(max_examples=1000, deadline=None)
@given(pattern=_patterns, text=_texts)
@example(pattern="a$", text="a\n")
@example(pattern="^[^a]$", text="\n")
@example(pattern=r"^\w$", text="ſ")
@example(pattern=r"^\d$", text="٣")
def test_a_simple_pattern_finds_what_re2_finds(pattern: str, text: str) -> None:
    found = simple(pattern)
    search = compile_search(pattern)

    if found is None or (isinstance(found, Literal) and found.ascii_only and not text.isascii()):
        return  # RE2's
    assert search is not None
    assert finds(found, text) == search(text)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[a-z0-9._+-]+@(example|acme)\.(com|org)$",
        r"@acme\.com$",
        r"^/api/v[0-9]+/",
        "iPhone",
        r"^1\.[2-9]\.\d+$",
        "^(DE|FR|US)$",
        "^v\\d{1,3}[.]",
        "^[A-Z]{2}-[0-9]{4,6}$",
    ],
)
def test_patterns_of_the_usual_kinds_are_simple(pattern: str) -> None:
    assert simple(pattern) is not None


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "^(a|aa)+$",
        "a+b",
        "^a*a",
        "^a*a*a*b",
        "^.*@x",
        "^.*x.*y$",
        "^(a|ab)c",
        "^[a-z]+[a-f]",
        r"^\w+\d",
        "^a?a",
        "^a{1,2}a",
        "^a{2,1}b",
        "(?i)[ab]",
        r"\bab",
        r"\s",
        "a|b",
        "^a+?b",
        "^a{1001}",
        "^" + "a" * 600,
        "^a{600}b{600}",
    ],
)
def test_what_could_make_re_go_back_is_left_to_re2(pattern: str) -> None:
    assert simple(pattern) is None


_words = st.text(alphabet="aB.@+$^|? é\\n", min_size=1, max_size=4)
_alternatives = st.lists(_words, min_size=1, max_size=4).map(lambda words: f"({'|'.join(map(re.escape, words))})")
_parts = st.lists(_words.map(re.escape) | _alternatives | st.sampled_from(["[^?]", ".", "a", r"\?"]), max_size=3)
_runs = st.sampled_from(
    ("", "", ".*", ".+", "[ab]+", "[ab.]*", r"\w+", "[^@]*", "[a?]+", "[B@]{1,}", ".{0,}", "a*", "[ab]{2,}")
)
_literals = st.builds(
    lambda first, before, parts, after, last: first + before + "".join(parts) + after + last,
    st.sampled_from(("", "^", "(?i)", "(?i)^")),
    _runs,
    _parts,
    _runs,
    st.sampled_from(("", "$")),
)
_surroundings = st.text("aB.@+$^|?\n\r\0 é\u2028\ud800\udfff٣", max_size=4)


def _one_text_of(pattern: str) -> str:
    """Return what a pattern of texts and runs finds, mostly."""
    runs = r"(?:\[\^?(.)[^]]*\]|(\.)|(\\w)|(a))(?:[*+]|\{\d,\})"
    filled = re.sub(runs, lambda found: (found[1] or "a") * 2, pattern)
    found = re.sub(r"\\(.)|\((.*?)[|)].*?\)?|[$^]", r"\1\2", filled.removeprefix("(?i)"), flags=re.DOTALL)
    return found.swapcase() if filled.startswith("(?i)") else found


#: Texts of the patterns themselves, with something before and after them, besides any others.
_near = st.builds(
    lambda pattern, before, after, word: (pattern, before + word + after),
    _literals,
    st.just("") | _surroundings,
    st.sampled_from(("", "\n", "$", "?", "\ud800")) | _surroundings,
    st.just("") | _words,
) | _literals.flatmap(
    lambda pattern: st.tuples(
        st.just(pattern),
        st.builds(
            lambda before, after: before + _one_text_of(pattern) + after,
            st.just("") | _surroundings,
            st.sampled_from(("", "\n", "$", "?", "\ud800")),
        ),
    )
)


@settings(max_examples=1500, deadline=None)
@given(case=_near, operator=st.sampled_from(("EREG", "NEREG")))
@example(case=("a$", "a\n"), operator="EREG")
@example(case=("^a$", "a\n"), operator="EREG")
@example(case=("^a$", "A"), operator="NEREG")
@example(case=("", ""), operator="EREG")
@example(case=("^$", "\n"), operator="EREG")
@example(case=("$", ""), operator="NEREG")
@example(case=(r"\?$", "\ud800"), operator="EREG")
@example(case=("^[^?]$", "\ud800"), operator="EREG")
@example(case=("^.$", "\ud800"), operator="EREG")
@example(case=("^(a|B)@$", "B@"), operator="EREG")
@example(case=(r"\$", "a$"), operator="EREG")
@example(case=("(?i)s", "ſ"), operator="EREG")
@example(case=("(?i)^k$", "\u212a"), operator="NEREG")
@example(case=("(?i)^i$", "İ"), operator="EREG")
@example(case=("(?i)^(DE|Fr)$", "fR"), operator="EREG")
@example(case=("(?i)bot", "\ud800BOT"), operator="EREG")
@example(case=("^[ab]+@", "@"), operator="EREG")
@example(case=("(?i)^[ab]+@", "@"), operator="EREG")
@example(case=("(?i)^[ab]+A$", "a"), operator="EREG")
@example(case=("^@[ab]+$", "@ab\n"), operator="EREG")
@example(case=(r"^\w+$", "ſ"), operator="NEREG")
def test_a_flag_with_a_pattern_of_texts_says_what_the_interpreter_says(case: tuple[str, str], operator: str) -> None:
    pattern, text = case
    flag = asking(pattern, operator)
    decide, interpreter = decider(flag), Interpreter(flag)

    for value in (text, None, 7, [text]):
        assert decide("u", {"p": value}).reason is interpreter.evaluate("u", {"p": value}).reason


@pytest.mark.parametrize(
    ("pattern", "matches", "does_not"),
    [
        ("iPhone", "an iPhone 15\n", "iphone"),
        ("^/api/", "/api/x", "x/api/"),
        (r"@acme\.com$", "jane@acme.com", "jane@acme.com\n"),
        ("^DE$", "DE", "DE\n"),
        ("^(DE|FR|US)-(a|b)$", "FR-b", "FR-c"),
        ("@(acme|example)$", "u@example", "u@exampl"),
        (".*bot.*", "a\nbot\n", "bo"),
        ("^.*bot.*$", "a bot", "a\nbot"),
        ("^.+bot.+$", "a bot!", "a bot"),
        (r"^.*@acme\.com$", "@acme.com", "a\n@acme.com"),
        (r"^.+@(acme|x@acme)$", "x@acme", "@acme"),
        ("^/api/.*$", "/api/", "/api/\n"),
        ("^/api/.+$", "/api/x", "/api/"),
        (".*$", "\n", None),
        ("(?i)Bot", "a ROBOT", "bo"),
        ("(?i)^(DE|fr)$", "Fr", "d"),
        (r"(?i)^.+@ACME\.com$", "Jane@Acme.Com", "@acme.com"),
        ("^[a-z]+$", "abc", ""),
        ("^[a-z]*$", "", "a\n"),
        ("^[a-z]+@a$", "b@a", "@a"),
        ("^[a-z]+@(a|b)", "c@bd", "@b"),
        ("^[a-z]*[.](de|fr)$", ".fr", ".us"),
        (r"^u-\d+$", "u-12", "u-"),
        (r"-\d+$", "u-12", "u-"),
        (r"-\d*$", "u-", "u-1a"),
        ("(?i)^[A-c]+@X$", "aB^@x", "@x"),
    ],
)
def test_a_pattern_of_texts_needs_no_regular_expression(pattern: str, matches: str, does_not: str | None) -> None:
    found = simple(pattern)

    assert isinstance(found, Literal)
    assert finds(found, matches)
    assert does_not is None or not finds(found, does_not)


@pytest.mark.parametrize(
    "pattern",
    [
        *("^[a-z]$", "a?", "^a{2,}$", "(a|b)", r"\?", ".", "^(a|b|c)(a|b|c)", ".+a", "a.+", "^.*a", "a.*$", "^.*$"),
        *(
            "^[a-z]+-[a-z]+$",
            "^v1[0-9]+$",
            "^[a-z]+A$",
            "^[^@]+@a$",
            "^.+@[a-z]+$",
            "^.*(a|b).*$",
            "^[a?]+$",
            r"^.*\n$",
        ),
        *("^[a-z]+[0-9]+$", "[a-z]+$", "^[a-z]{2,}@a$", "^[a-z]+(-|b)$"),
    ],
)
def test_what_is_not_one_comparison_of_texts_is_left_to_re(pattern: str) -> None:
    assert not isinstance(simple(pattern), Literal)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        pytest.param("^[a-z]+@acme", "a" * 2_000_000 + "@acme", id="anchored"),
        pytest.param("^[a-z]+@acme$", "a" * 2_000_000 + "@acme", id="a run"),
        pytest.param("^[a-z]+@[0-9]+$", "a" * 2_000_000 + "@1", id="two runs"),
        pytest.param("^.+@acme$", "a" * 2_000_000 + "@acme", id="anything"),
        pytest.param("[0-9]{4}-x", "1" * 2_000_000 + "-x", id="anywhere"),
        pytest.param("needle", "a" * 2_000_000 + "needle", id="a text"),
        pytest.param(r"x\?[0-9]$", "a" * 2_000_000 + "x?7", id="with a question mark"),
        pytest.param("a[ab]{500}c", "ab" * 100_000 + "a" * 501 + "c", id="hostile"),
        pytest.param("(?i)needle", "a" * 2_000_000 + "NEEDLE", id="in any case"),
        pytest.param("(?i)[mn]eedle", "a" * 2_000_000 + "needle", id="RE2's"),
    ],
)
@pytest.mark.parametrize("operator", ["EREG", "NEREG"])
def test_however_long_a_text_is_a_flag_says_what_the_interpreter_says(pattern: str, text: str, operator: str) -> None:
    flag = asking(pattern, operator)

    decided = decider(flag)("u", {"p": text}).reason

    assert decided is Interpreter(flag).evaluate("u", {"p": text}).reason


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        pytest.param("^[a-z]+@acme", "a" * 2_000_000 + "@acme", id="anchored"),
        pytest.param("^[a-z]+@acme$", "a" * 2_000_000 + "@acme", id="a run"),
        pytest.param("^[a-z]+@[0-9]+$", "a" * 2_000_000 + "@1", id="two runs"),
        pytest.param("^.+@acme$", "a" * 2_000_000 + "@acme", id="anything"),
        pytest.param("[0-9]{4}-x", "1" * 2_000_000 + "-x", id="anywhere"),
        pytest.param("needle", "a" * 2_000_000 + "needle", id="a text"),
    ],
)
def test_a_simple_pattern_is_found_in_a_text_of_any_length(pattern: str, text: str) -> None:
    search = compile_search(pattern)

    assert search is not None
    assert search(text)


@pytest.mark.parametrize(
    "pattern", ["a[ab]{500}c", "[ab]{32}c", "[ab]{33}", "(aaaaaaaaaaaaaaaab|aaaaaaaaaaaaaaaac)[d]", "(?i)[ab]"]
)
def test_what_takes_many_steps_at_each_position_of_a_text_has_a_limit(pattern: str) -> None:
    assert simple(pattern) is None
