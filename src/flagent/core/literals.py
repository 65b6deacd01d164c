"""The literals of openflagr's constraints, turned into the plain values that constraints have here.

Only where both mean the same. What remains different is the treatment of odd contexts: openflagr
compares numbers with a tolerance of 1e-6, and a context value of another type than the literal's
never matches there, while here the texts are compared.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ..errors import InvalidFlag
from .texts import text

_ORDER = frozenset({"LT", "LTE", "GT", "GTE"})
_PATTERNS = frozenset({"EREG", "NEREG"})
_LISTS = frozenset({"IN", "NOTIN"})
_CONTAINS = frozenset({"CONTAINS", "NOTCONTAINS"})

_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_SLASHED = re.compile(r"/([^/\s\"'`]+)/")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# A whole string with escapes of Go, at least one of them.
_ESCAPED = re.compile(
    r"(?:[^\\]|\\(?:[abfnrtv\\\"]|[0-3][0-7]{2}|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}))*", re.DOTALL
)
# Anything else is a path into the context (`{user}{name}`) or belongs to the expression language.
_PROPERTY = re.compile(r"@?[A-Za-z_][A-Za-z0-9_]*")
#: From here on floats, which is what openflagr compares, skip whole numbers.
_EXACT = 2**53


def plain_value(property: str, operator: str, literal: str) -> str:
    """Return the value that the constraint has here.

    Raises:
        InvalidFlag: no plain value means the same; the message says why.
    """
    if not _PROPERTY.fullmatch(property):
        raise InvalidFlag("only properties that are a name can be imported, not paths")
    literal = literal.strip()
    if operator in _CONTAINS:
        raise InvalidFlag("openflagr looks for an equal element, here parts of elements match too; state it otherwise")
    if operator in _LISTS:
        return _joined(literal)
    if operator in _ORDER:
        return _number(literal)
    if operator in _PATTERNS:
        slashed = _SLASHED.fullmatch(literal)
        return slashed[1] if slashed else _string(literal)
    if literal.lower() in ("true", "false"):
        return literal.lower()
    return _number(literal) if _NUMBER.fullmatch(literal) else _string(literal)


def _string(literal: str) -> str:
    found = _STRING.fullmatch(literal)
    if found is None:
        raise InvalidFlag('the value must be a text in double quotes, as in "US"')
    content = found[1]
    # Older versions never interpret escapes, newer ones do if all of them are Go's: "\d" stays as it is.
    if "\\" in content and _ESCAPED.fullmatch(content):
        raise InvalidFlag("versions of openflagr read these backslashes differently; write a pattern as /…/")
    return content


def _number(literal: str) -> str:
    if not _NUMBER.fullmatch(literal):
        raise InvalidFlag("the value must be a number, as in 10 or 1.5")
    return _number_text(float(literal))


def _number_text(value: float) -> str:
    if not math.isfinite(value) or abs(value) > _EXACT:
        raise InvalidFlag("the number is too large to be compared exactly")
    return text(value) or ""


def _joined(literal: str) -> str:
    try:
        items = json.loads(literal)
    except (ValueError, RecursionError):
        items = None
    if not isinstance(items, list) or not items:
        raise InvalidFlag('the value must be a list of texts or of numbers, as in ["US","CA"]')
    if all(isinstance(item, str) for item in items):
        return ",".join(map(_item, items))
    if all(isinstance(item, int | float) and not isinstance(item, bool) for item in items):
        return ",".join(_number_text(float(item)) for item in items)
    raise InvalidFlag("the items of the list must be of one type, texts or numbers")


def _item(value: Any) -> str:
    item = str(value)
    if not item or "," in item or item != item.strip():
        raise InvalidFlag(f"item {item[:80]!r} is empty, has a comma or blanks around it; here a list can't hold it")
    return item
