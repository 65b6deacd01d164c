"""Results as values of a type: what a variant means to a program that wants a bool, a number, a text or JSON.

A variant says what it means with the member `value` of its attachment. One without such a member
means what its key spells: `on` and `off`, `42`, `blue`. What does not fit the type is no value at all,
and never cut to size: 3.5 is no integer, and `"3"` in an attachment is no number. A result without a variant stands
for nothing, unless it says `value` all the same: tests make such results, for a flag that is off by all means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from .texts import number

_T = TypeVar("_T")


class Decision(Protocol):
    """What a result says of the variant: all that values are made of."""

    @property
    def variant_key(self) -> str | None:
        """Key of the variant, or None."""

    @property
    def variant_attachment(self) -> Mapping[str, Any] | None:
        """The JSON object that the variant carries, or None."""


class _Missing:
    """What stands for "there is no such value", since None is a value of JSON."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()

_TRUE = frozenset({"true", "on", "yes", "enabled", "1"})
_FALSE = frozenset({"false", "off", "no", "disabled", "0"})
#: Digits of the longest integer that a key spells.
_LONGEST = 300


def bool_of(result: Decision) -> bool | _Missing:
    """Return the boolean that a result stands for: `value`, or a key such as `on`, `false`, `enabled` or `1`."""
    return _value(result, _as_bool, _bool_of_key)


def str_of(result: Decision) -> str | _Missing:
    """Return the text that a result stands for: `value`, or the variant's key."""
    return _value(result, _as_str, _same)


def int_of(result: Decision) -> int | _Missing:
    """Return the integer that a result stands for: `value` (also as 3.0), or a key of digits."""
    return _value(result, _as_int, _int_of_key)


def float_of(result: Decision) -> float | _Missing:
    """Return the number that a result stands for: `value`, or a key such as `0.5` or `1e3`."""
    return _value(result, _as_float, _float_of_key)


def json_of(result: Decision) -> Any | _Missing:
    """Return the JSON that a result stands for: `value`, or else the whole attachment."""
    if result.variant_attachment is None:
        return MISSING
    return result.variant_attachment.get("value", result.variant_attachment)


def _value(
    result: Decision, member: Callable[[Any], _T | _Missing], key: Callable[[str], _T | _Missing]
) -> _T | _Missing:
    attachment = result.variant_attachment
    if attachment is not None and "value" in attachment:
        return member(attachment["value"])
    return MISSING if result.variant_key is None else key(result.variant_key)


def _as_bool(value: Any) -> bool | _Missing:
    return value if isinstance(value, bool) else MISSING


def _as_str(value: Any) -> str | _Missing:
    return value if isinstance(value, str) else MISSING


def _as_int(value: Any) -> int | _Missing:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return MISSING
    if isinstance(value, int):
        return value
    return int(value) if value.is_integer() else MISSING


def _as_float(value: Any) -> float | _Missing:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return MISSING
    try:
        number = float(value)
    except OverflowError:
        return MISSING
    # An integer that no float is equal to would come out as another one.
    return number if number == value else MISSING


def _bool_of_key(key: str) -> bool | _Missing:
    word = key.lower()
    return True if word in _TRUE else False if word in _FALSE else MISSING


def _int_of_key(key: str) -> int | _Missing:
    digits = key[1:] if key.startswith(("+", "-")) else key
    return int(key) if digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST else MISSING


def _float_of_key(key: str) -> float | _Missing:
    value = number(key)
    # Constraints pass over blanks and control characters around a number, keys have none.
    if value is None or not math.isfinite(value) or min(key[0], key[-1]) <= " ":
        return MISSING
    return value


def _same(key: str) -> str:
    return key
