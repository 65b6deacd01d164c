"""The text and the number by which a value of a context, or a key, counts.

Who only wants to know what a value says needs no constraint for it, nor what those are made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

#: The only words that are numbers.
_WORDS = frozenset({"Infinity", "NaN"})
#: What is trimmed around a number: control characters and the blank, as Java does it.
_BLANKS = "".join(map(chr, range(0x21)))
#: From here on an integral float is written with an exponent.
_EXPONENT_FROM = 1e21


def text(value: object) -> str | None:
    """Return the text form of a context value, or None when it has none (None, lists, objects).

    Integers are decimal, and so are integral floats below 1e21 (`1.0` is `1`); other floats have
    their shortest exact form (`1.5`, `1e+21`). Values that JSON doesn't know, such as a `UUID`, have
    the text that `str` gives.
    """
    exactly = _TEXTS.get(type(value))
    if exactly is not None:
        return exactly(value)
    if isinstance(value, str):
        return str.__str__(value)
    if value is None or isinstance(value, (list, tuple, AbstractSet, Mapping)):
        return None
    if isinstance(value, float):
        return _float_text(float(value))
    if isinstance(value, int):
        return _int_text(value)
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything; such a value simply has no text
        return None


def _float_text(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return str(int(value)) if value.is_integer() and abs(value) < _EXPONENT_FROM else repr(value)


def _int_text(value: int) -> str | None:
    try:
        return int.__repr__(value)
    except ValueError:  # more digits than Python is willing to write
        return None


#: How to write values whose type is exactly this one.
_TEXTS: dict[type, Callable[[Any], str | None]] = {
    str: str,
    bool: {False: "false", True: "true"}.__getitem__,
    int: _int_text,
    float: _float_text,
}


def number_of(value: object) -> float | None:
    """Return the number that a context value is, or that its text spells, or None; of integers the float next to it."""
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    whole = text(value)
    return None if whole is None else number(whole)


def number(value: str) -> float | None:
    """Return the number that a text spells, or None: decimal, as every client reads it, `Infinity` or `NaN`."""
    trimmed = value.strip(_BLANKS)
    try:
        found = float(trimmed)
    except ValueError:
        return None
    # Python reads more than others do: `1_000`, `٣`, `inf`.
    if not trimmed.isascii() or "_" in trimmed:
        return None
    return found if not trimmed[-1].isalpha() or trimmed.lstrip("+-") in _WORDS else None
