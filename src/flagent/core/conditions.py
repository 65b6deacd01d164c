"""One condition as an expression of a generated function (`compiled`): the fast form of `constraints`.

An expression has `{v}` for the variable that holds the property, and `{0}`, `{1}` for its constants. That of a pattern
comes after lines that look for it.
"""

from __future__ import annotations

import math
from typing import Any, Final

from msgspec import Struct

from .constraints import compile_test, items
from .literal_patterns import Literal
from .model import Constraint
from .patterns import simple
from .remembered import asked, others
from .texts import number, number_of, text

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
_DENIED = "{{v}} is not None and not ({})"


class Condition(Struct, frozen=True):
    """What is written for a condition.

    Attributes:
        reading: how the property is read; empty when it is not, for what is always false.
        source: the expression.
        constants: what `{0}`, `{1}` and so on are.
        before: lines that come right before the `if` with the expression; mostly none.
    """

    reading: str
    source: str
    constants: tuple[Any, ...] = ()
    before: str = ""


_NEVER = Condition("", "False")


def condition_source(constraint: Constraint) -> Condition:
    """Return what is written for a constraint."""
    value = constraint.value
    match constraint.operator:
        case "EQ":
            return Condition(TEXT, "{v} == {0}", (value,))
        case "NEQ":
            return Condition(TEXT, "{v} is not None and {v} != {0}", (value,))
        case "IN":
            return Condition(TEXT, "{v} in {0}", (items(value),))
        case "NOTIN":
            return Condition(TEXT, "{v} is not None and {v} not in {0}", (items(value),))
        case "CONTAINS":
            source = "{0} in {v} if type({v}) is str else {v} is not None and {1}({v})"
            return Condition(VALUE, source, (value, compile_test(constraint)))
        case "EREG" | "NEREG":
            return _pattern(value, negative=constraint.operator == "NEREG")
        case "LT" | "LTE" | "GT" | "GTE":
            return _comparison(constraint)
        case "NOTCONTAINS":
            return Condition(VALUE, "{v} is not None and {0}({v})", (compile_test(constraint),))
        case _:
            return _NEVER


def _comparison(constraint: Constraint) -> Condition:
    limit = number(constraint.value)
    if limit is None:
        return _NEVER
    if -_EXACT < limit < _EXACT:
        bound = int(limit) if limit.is_integer() else limit
        return Condition(NUMBER, _COMPARISONS[constraint.operator], (bound,))
    return Condition(VALUE, "{v} is not None and {0}({v})", (compile_test(constraint),))


def _pattern(pattern: str, *, negative: bool) -> Condition:
    found = simple(pattern)
    if isinstance(found, Literal) and not found.looks_through:
        source = (
            f"({found.source}) if {found.plain('{v}')} else {{v}} is not None and {{{len(found.constants)}}}({{v}})"
        )
        return Condition(VALUE, _DENIED.format(source) if negative else source, (*found.constants, others(pattern)))
    how = asked(pattern)
    if how is None:
        return Condition(VALUE, "{v} is not None") if negative else _NEVER
    source = "{v} is not None and m is None" if negative else "m is not None"
    return Condition(VALUE, source, how.constants, how.source)


def texted(value: object) -> object:
    """Return a property that is there as `TEXT` reads it."""
    form = text(value)
    return NO_TEXT if form is None else form


def numbered(value: object) -> float:
    """Return a property as `NUMBER` reads it."""
    found = number_of(value)
    return math.nan if found is None else found
