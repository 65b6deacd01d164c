"""One condition as an expression of a generated function (`compiled`): the fast form of `constraints`.

An expression has `{v}` for the variable that holds the property, and `{0}`, `{1}` for its constants.
"""

from __future__ import annotations

import math
from typing import Any, Final

from .constraints import compile_search, compile_test, items, number, number_of, text
from .model import Constraint
from .patterns import Match, simple

#: How a property is read: as a text (None when it is missing, `NO_TEXT` when it has none, such as a list), as a number
#: (NaN when it is none, which compares false), or as it is.
TEXT, NUMBER, VALUE = "text", "number", "value"
#: What follows the reading.
READINGS: Final = {
    TEXT: "if type({v}) is not str and {v} is not None: {v} = texted({v})",
    NUMBER: "if type({v}) is not int and type({v}) is not float: {v} = numbered({v})",
    VALUE: "",
}
#: A property that is there, but has no text.
NO_TEXT: Final = object()

#: Below this, comparing an integer as it is and comparing the float next to it are the same.
_EXACT = 2.0**53
_COMPARISONS = {"LT": "{v} < {0}", "LTE": "{v} <= {0}", "GT": "{v} > {0}", "GTE": "{v} >= {0}"}
_LITERAL = "type({{v}}) is str and {}"
_MATCHES = "type({v}) is str and {0}({v}) is not None"
_MATCHES_WITH_CARE = "type({v}) is str and ({0}({v}) is not None if {v}.isascii() else {1}({v}))"


def condition_source(constraint: Constraint) -> tuple[str, str, tuple[Any, ...]]:
    """Return how the property is read, the expression, and its constants; nothing is read for what is always false."""
    value = constraint.value
    match constraint.operator:
        case "EQ":
            return TEXT, "{v} == {0}", (value,)
        case "NEQ":
            return TEXT, "{v} is not None and {v} != {0}", (value,)
        case "IN":
            return TEXT, "{v} in {0}", (items(value),)
        case "NOTIN":
            return TEXT, "{v} is not None and {v} not in {0}", (items(value),)
        case "CONTAINS":
            source = "{0} in {v} if type({v}) is str else {v} is not None and {1}({v})"
            return VALUE, source, (value, compile_test(constraint))
        case "EREG":
            return _pattern(value, "{0}", "False")
        case "NEREG":
            return _pattern(value, "{{v}} is not None and not ({0})", "{v} is not None")
        case "LT" | "LTE" | "GT" | "GTE":
            return _comparison(constraint)
        case "NOTCONTAINS":
            return VALUE, "{v} is not None and {0}({v})", (compile_test(constraint),)
        case _:
            return "", "False", ()


def _comparison(constraint: Constraint) -> tuple[str, str, tuple[Any, ...]]:
    limit = number(constraint.value)
    if limit is None:
        return "", "False", ()
    if -_EXACT < limit < _EXACT:
        bound = int(limit) if limit.is_integer() else limit
        return NUMBER, _COMPARISONS[constraint.operator], (bound,)
    return VALUE, "{v} is not None and {0}({v})", (compile_test(constraint),)


def _pattern(pattern: str, positive: str, impossible: str) -> tuple[str, str, tuple[Any, ...]]:
    found = simple(pattern)
    if found is not None:
        if found.literal is not None:
            return TEXT, positive.format(_LITERAL.format(found.literal.source)), (found.literal.constant,)
        if found.careful:
            return TEXT, positive.format(_MATCHES_WITH_CARE), (found.match, _Careful(found.match))
        return TEXT, positive.format(_MATCHES), (found.match,)
    search = compile_search(pattern)
    if search is None:
        return TEXT, impossible, ()
    return TEXT, positive.format("type({v}) is str and {0}({v})"), (search,)


class _Careful:
    """Looks for a simple pattern in a text that is not ASCII, and may have lone surrogates."""

    __slots__ = ("_match",)

    def __init__(self, match: Match) -> None:
        self._match = match

    def __call__(self, whole: str) -> bool:
        # Without them, as the interpreter does it for RE2.
        return self._match(whole.encode("utf-8", "replace").decode()) is not None


def texted(value: object) -> object:
    """Return a property that is there as `TEXT` reads it."""
    form = text(value)
    return NO_TEXT if form is None else form


def numbered(value: object) -> float:
    """Return a property as `NUMBER` reads it."""
    found = number_of(value)
    return math.nan if found is None else found
