"""One condition on a context: `compile_constraint` parses its value once and returns a predicate.

The rules, in the order in which they apply:

* a property that is missing or None meets no condition, the negative ones included;
* texts are compared code point by code point; other values by the text that `texts` gives them;
* lists and objects have no text: positive operators are false for them and negative ones true,
  but CONTAINS looks for an element of a list that contains the value;
* LT, LTE, GT and GTE compare numbers, and are false when either side is none;
* patterns are RE2's and match anywhere; one that can't be compiled matches nothing, and where one that is not `simple`
  might take longer than `MAX_STEPS` are worth, it matches nothing either;
* an unknown operator is false.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from . import subinterpreters
from .model import Constraint
from .patterns import simple
from .texts import number, number_of, text

# Here, and not where RE2 is loaded: whoever imports this is told, and nobody who evaluates.
subinterpreters.refuse()

Predicate = Callable[[Mapping[str, Any]], bool]
Test = Callable[[Any], bool]

#: Length of a text times size of a pattern's program above which nothing is looked for. RE2's time is linear in the
#: text, but for some patterns (`a[ab]{500}c`) with a factor of that size: this many steps are a tenth of a second, and
#: texts of 600,000 characters for a pattern of ten. Simple patterns (`patterns`) have no such factor, and no limit.
MAX_STEPS = 10_000_000


def compile_search(pattern: str) -> Callable[[str], bool] | None:
    """Return what tells whether an RE2 pattern matches anywhere in a text, or None when RE2 refuses it."""
    # Most programs have no patterns for it; whoever is about to evaluate has loaded it before (`load_re2`).
    import re2

    options = re2.Options()
    options.log_errors = False  # otherwise RE2 writes to stderr by itself
    try:
        compiled: Any = re2.compile(pattern, options)
    except (re2.error, UnicodeError):
        return None

    longest = None if simple(pattern) else MAX_STEPS // max(compiled.programsize, 1)

    def search(whole: str) -> bool:
        if longest is not None and len(whole) > longest:
            return False
        try:
            return compiled.search(whole) is not None
        except UnicodeError:  # lone surrogates: RE2 reads UTF-8, which has none
            return compiled.search(whole.encode("utf-8", "replace").decode()) is not None

    return search


def load_re2() -> None:
    """Load RE2, which the first pattern that needs it would do otherwise: evaluation shall not wait for a file."""
    import re2  # noqa: F401 - it is there from now on


def items(value: str) -> frozenset[str]:
    """Return the members of a comma-separated list, trimmed."""
    return frozenset(item.strip() for item in value.split(","))


def compile_constraint(constraint: Constraint) -> Predicate:
    """Return the predicate on a context that this constraint states."""
    name, test = constraint.property, compile_test(constraint)

    def holds(context: Mapping[str, Any]) -> bool:
        value = context.get(name)
        return value is not None and test(value)

    return holds


def compile_test(constraint: Constraint) -> Test:
    """Return what the constraint says of a value that is there and not None."""
    operators = _NEGATIVE.get(constraint.operator)
    if operators is not None:
        positive = _POSITIVE[operators](constraint.value)
        return lambda value: not positive(value)
    compiled = _POSITIVE.get(constraint.operator)
    return _never if compiled is None else compiled(constraint.value)


def _never(_value: object) -> bool:
    return False


def _equal(expected: str) -> Test:
    return lambda value: text(value) == expected


def _among(value: str) -> Test:
    members = items(value)
    return lambda value: text(value) in members


def _containing(part: str) -> Test:
    def contains(value: object) -> bool:
        if isinstance(value, (list, tuple, AbstractSet)):
            return any(contains(element) for element in value if not isinstance(element, (list, tuple, AbstractSet)))
        whole = text(value)
        return whole is not None and part in whole

    return contains


def _matching(pattern: str) -> Test:
    search = compile_search(pattern)
    if search is None:
        return _never

    def matches(value: object) -> bool:
        whole = text(value)
        return whole is not None and search(whole)

    return matches


def _comparing(compare: Callable[[float, float], bool]) -> Callable[[str], Test]:
    def compiled(value: str) -> Test:
        limit = number(value)
        if limit is None:
            return _never

        def compares(value: object) -> bool:
            given = number_of(value)
            return given is not None and compare(given, limit)

        return compares

    return compiled


_POSITIVE: dict[str, Callable[[str], Test]] = {
    "EQ": _equal,
    "IN": _among,
    "CONTAINS": _containing,
    "EREG": _matching,
    "LT": _comparing(operator.lt),
    "LTE": _comparing(operator.le),
    "GT": _comparing(operator.gt),
    "GTE": _comparing(operator.ge),
}

#: The negative operators, and the positive ones that they deny.
_NEGATIVE = {"NEQ": "EQ", "NOTIN": "IN", "NOTCONTAINS": "CONTAINS", "NEREG": "EREG"}
