"""The names under which answers are kept: a question as JSON, the same for all that get the same answer."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from ..core.texts import text

_encode = msgspec.json.Encoder(order="sorted").encode

#: What JSON carries as it is.
_PLAIN = frozenset({str, bool, type(None)})
#: Whole numbers outside of these are sent as text: readers of JSON lose digits of them.
_LEAST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1


def canonical(value: object) -> bytes:
    """Return a value as JSON, the same for all values that no constraint can tell apart by their form.

    Members of objects are sorted, those whose name is no text are left out, and so is the order of sets.
    What JSON doesn't know, NaN and infinity included, is the text by which constraints take it. `1`, `1.0`,
    `True` and `"1"` all differ.

    Raises:
        Exception: the value can't be read: a text is no Unicode, it contains itself, or a foreign class fails.
    """
    return _encode(_plain(value))


def _plain(value: object) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, int) and _LEAST_INTEGER <= value <= _LARGEST_INTEGER:
        return int(value)
    if isinstance(value, Mapping):
        return {str.__str__(name): _plain(value[name]) for name in value if isinstance(name, str)}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, AbstractSet):
        return sorted((_plain(each) for each in value), key=_encode)
    if isinstance(value, float) and value - value == 0:
        return float(value)
    # NaN and infinity, which JSON has not, come here too. What has no text is like an object to constraints,
    # and not like null, which is to them as if it were not there.
    spelled = text(value)
    return {} if spelled is None else spelled
