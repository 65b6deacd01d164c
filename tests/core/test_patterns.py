"""Patterns for Python's `re`: that it matches what RE2 does, and is never given what it could be slow with."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flagent.core.constraints import compile_search
from flagent.core.patterns import simple

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


@settings(max_examples=1000, deadline=None)
@given(pattern=_patterns, text=_texts)
@example(pattern="a$", text="a\n")
@example(pattern="^[^a]$", text="\n")
@example(pattern=r"^\w$", text="ſ")
@example(pattern=r"^\d$", text="٣")
def test_a_simple_pattern_finds_what_re2_finds(pattern: str, text: str) -> None:
    match = simple(pattern)
    search = compile_search(pattern)

    assert match is None or (search is not None and (match(text) is not None) == search(text))


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
        "^.*@x$",
        "^(a|ab)c",
        "^[a-z]+[a-f]",
        r"^\w+\d",
        "^a?a",
        "^a{1,2}a",
        "^a{2,1}b",
        "(?i)a",
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
