"""Flags that a program or a file states without a server: as plain values, as a document, or as an export.

    {"new_checkout": true, "page_size": 42, "theme": "dark", "layout": {"columns": 3}}

is the short form: each flag gives everybody the same. False and null are flags that are switched off.

Nothing in such a form has ids, which decide the buckets. Flags get one from their key, so that users keep
their variants whatever else is added, removed or put in another order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

import msgspec

from ..errors import ConfigurationError, InvalidFlag
from .documents import FlagItem, read_document
from .ids import Allocator, Ids
from .model import MAX_ID, Distribution, Flag, Segment, Tag, Variant
from .upsert import upserted
from .validation import check_attachment, check_key

#: The one variant of a flag whose value is no name.
_VALUE = "value"


def flag_of(key: str, value: Any, flag_id: int | None = None) -> Flag:
    """Return the flag that gives everybody `value`.

    Args:
        key: key of the flag.
        value: a boolean, a number, a text, anything else of JSON, or a flag, which is returned under that key.
            False and None make a flag that is switched off. What can be a variant's key is also that.
        flag_id: its id; None for one that is made of the key.

    Raises:
        ConfigurationError: the key or the value can't be those of a flag.
    """
    if isinstance(value, Flag):
        if value.key != key:
            raise ConfigurationError(f"flag {key!r}: the flag that is given for it has the key {value.key!r}")
        return value
    try:
        check_key(_checked(key))
        variant_key, attachment = _variant(value)
        check_attachment(attachment)
    except InvalidFlag as exc:
        raise ConfigurationError(f"flag {key!r}: {exc}") from exc
    number = flag_id or _id_of(key, ())
    if value is None or value is False:
        return Flag(id=number, key=key)
    return Flag(
        id=number,
        key=key,
        enabled=True,
        variants=(Variant(1, variant_key, number, attachment),),
        segments=(Segment(1, flag_id=number, distributions=(Distribution(1, 100, variant_key, 1, 1),)),),
    )


def flags_of_values(values: Mapping[str, Any]) -> tuple[Flag, ...]:
    """Return the flags of the short form.

    Raises:
        ConfigurationError: a key or a value can't be that of a flag.
    """
    return tuple(flag_of(key, values[key], number) for key, number in _ids(values).items())


def flags_of_document(value: Any) -> tuple[Flag, ...]:
    """Return the flags of a document as `flagent export` and Flagent's GitOps write it.

    Raises:
        ConfigurationError: it is none; the message has everything that is wrong with it.
    """
    document = read_document(value)
    if document.errors:
        raise ConfigurationError("; ".join(document.errors))
    items = {entry.item.key: entry.item for entry in document.entries}
    parts, tags = Allocator(Ids()), dict[str, Tag]()
    return tuple(_stated(items[key], number, parts, tags) for key, number in _ids(items).items())


def _stated(item: FlagItem, number: int, parts: Allocator, tags: dict[str, Tag]) -> Flag:
    return upserted(item, Flag(id=number, key=item.key), parts, tags)


def _variant(value: Any) -> tuple[str, dict[str, Any] | None]:
    """Return the key and the attachment of a variant that stands for `value`."""
    if value is True:
        return "on", None
    if isinstance(value, Mapping) and "value" not in value:
        return "on", {str(name): each for name, each in value.items()}
    text = value if isinstance(value, str) else str(value) if isinstance(value, int | float) else _VALUE
    try:
        check_key(text)
    except InvalidFlag:
        text = _VALUE
    return text, {"value": _plain(value)}


def _plain(value: Any) -> Any:
    try:
        return msgspec.to_builtins(value)
    except (TypeError, ValueError, msgspec.MsgspecError) as exc:
        raise InvalidFlag(f"a value of type {type(value).__name__} is none of JSON: {exc}") from exc


def _ids(keys: Iterable[str]) -> dict[str, int]:
    """Return the id of each key; two keys that would have the same get different ones, by their order as texts."""
    taken: dict[int, str] = {}
    for key in sorted(map(_checked, keys)):
        taken[_id_of(key, taken)] = key
    numbers = {key: number for number, key in taken.items()}
    return {key: numbers[key] for key in keys}


def _checked(key: Any) -> str:
    if not isinstance(key, str):
        raise ConfigurationError(f"flag {key!r}: a key must be a text")
    return key


def _id_of(key: str, taken: Iterable[int]) -> int:
    number = crc32(key.encode("utf-8", "surrogatepass")) % MAX_ID + 1
    while number in taken:
        number = number % MAX_ID + 1
    return number
