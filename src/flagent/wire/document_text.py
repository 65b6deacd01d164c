"""JSON and YAML text of documents, from and to plain values, with limits on what strangers may send.

YAML is read strictly: the few types of JSON and nothing else. `on`, `yes`, dates and `010` stay the
texts that they look like, since variants are called `on` and values `2024-01-01`; aliases, by which a few
bytes become gigabytes, and tags, by which some readers run code, are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

from ..errors import DecodeError

#: Deepest nesting of a document: that of an attachment, and the levels around one.
MAX_DEPTH = 48
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
#: How the parser, which reads ahead, says that something exceeds a limit of its own; older ones have none.
_PARSER_TOO_DEEP = "exceeded maximum nesting depth"
#: Most characters of a number; converting longer ones takes quadratic time.
_MAX_DIGITS = 100

# The C versions are ten times as fast; the wheels have them, a build from source may not.
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: type[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

# Each is a part of what PyYAML quotes when it writes a text, so that a text that we wrote is read as one.
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "false": False}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][+-][0-9]+)?")
_STRING_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})


def parse_json(text: str) -> Any:
    """Return the plain value that a JSON text states.

    Raises:
        DecodeError: it is no JSON, or exceeds a limit.
    """
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise DecodeError(_TOO_DEEP) from None
    except (msgspec.MsgspecError, ValueError) as exc:
        raise DecodeError(str(exc)) from exc
    _check_depth(value)
    return value


def parse_yaml(text: str) -> Any:
    """Return the plain value that a YAML text of one document states.

    Raises:
        DecodeError: it is no YAML, uses more of it than JSON has, or exceeds a limit.
    """
    try:
        return _Builder(yaml.parse(text, Loader=_Loader)).document()
    except yaml.YAMLError as exc:
        raise _broken(exc) from exc
    # The parser encodes the text first, and half a surrogate pair has no encoding.
    except UnicodeError as exc:
        raise DecodeError(str(exc)) from exc


def format_json(value: Any) -> bytes:
    """Return the value as JSON, indented, since people compare versions of it line by line."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def format_yaml(value: Any) -> bytes:
    """Return the value as YAML, with members in their order."""
    dumped = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return str(dumped).encode()


class _Builder:
    """Makes a plain value of the parser's events, and stops at the first that can't be in JSON."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events

    def document(self) -> Any:
        value, documents = None, 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _refusal("more than one document", event)
                value = self._value(next(self._events), 0)
        return value

    def _value(self, event: yaml.Event, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            raise _refusal(f"alias *{event.anchor}: aliases are not supported, write the value out", event)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if depth >= MAX_DEPTH:
            raise _refusal(_TOO_DEEP, event)
        if isinstance(event, yaml.CollectionStartEvent) and event.tag not in (None, "!"):
            raise _refusal(f"tag {event.tag!r} is not supported", event)
        return self._list(depth + 1) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(depth + 1)

    def _list(self, depth: int) -> list[Any]:
        found = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, depth))
        return found

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _refusal("the name of a member must be a text", event)
            name = event.value
            if name in found:
                raise _refusal(f"member {name[:80]!r} is there twice", event)
            if name == "<<" and event.implicit[0]:
                raise _refusal("merging with '<<' is not supported", event)
            found[name] = self._value(next(self._events), depth)
        return found


def _scalar(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    if event.tag is not None and event.tag not in _STRING_TAGS:
        raise _refusal(f"tag {event.tag!r} is not supported", event)
    # `implicit[0]`: written without quotes and without a tag.
    if event.tag is not None or not event.implicit[0]:
        return text
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    number = int if _INTEGER.fullmatch(text) else float if _FLOAT.fullmatch(text) else str
    if number is not str and (len(text) > _MAX_DIGITS or not math.isfinite(float(text))):
        raise _refusal(f"number {text[:20]}… is too large", event)
    return number(text)


def _broken(error: yaml.YAMLError) -> DecodeError:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem == _PARSER_TOO_DEEP and error.problem_mark is not None:
        return _placed(_TOO_DEEP, error.problem_mark.line, error.problem_mark.column)
    return DecodeError(" ".join(str(error).split()))


def _refusal(problem: str, event: yaml.Event) -> DecodeError:
    mark = event.start_mark
    return DecodeError(problem) if mark is None else _placed(problem, mark.line, mark.column)


def _placed(problem: str, line: int, column: int) -> DecodeError:
    return DecodeError(f"line {line + 1}, column {column + 1}: {problem}")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for each in level for item in _inside(each) if isinstance(item, dict | list)]
        if not level:
            return
    raise DecodeError(_TOO_DEEP)


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
