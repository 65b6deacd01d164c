"""Readers as strict as Flagent's clients, each in its own way.

The rules were found by feeding variations of good documents to the real clients: Go (strict about
names), Python (pydantic: ranges, enums), Kotlin (types, enums), Dart (nulls), Swift (dates). A document
is good when none of them refuses it. `test_readers` holds the table of variations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

OPERATORS = {"EQ", "NEQ", "LT", "LTE", "GT", "GTE", "EREG", "NEREG", "IN", "NOTIN", "CONTAINS", "NOTCONTAINS"}

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_SWIFT_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")


@dataclass(frozen=True)
class Member:
    """A member of an object: its kind, and what each client asks of it."""

    kind: str
    required: bool = False
    #: Dart breaks on null, whatever the others do.
    dart_null: bool = True
    #: Go takes null for a required text as empty.
    least: int | None = None
    most: int | None = None
    of: str = ""


@dataclass(frozen=True)
class Shape:
    """An object: its members, and whether Go refuses any other."""

    members: dict[str, Member]
    go_strict: bool = True
    name: str = field(default="")


def _ids(*names: str) -> dict[str, Member]:
    return {name: Member("int", required=True, least=1) for name in names}


_TEXT = Member("text", required=True)
_OPTIONAL = Member("text")
_SWITCH = Member("bool", required=True)

SHAPES: dict[str, Shape] = {
    "Flag": Shape(
        {
            **_ids("id"),
            "key": Member("text", required=True, least=1),
            "description": _TEXT,
            "enabled": _SWITCH,
            "dataRecordsEnabled": _SWITCH,
            "snapshotID": Member("int", dart_null=False),
            "entityType": _OPTIONAL,
            "notes": _OPTIONAL,
            "createdBy": _OPTIONAL,
            "updatedBy": _OPTIONAL,
            "segments": Member("list", dart_null=False, of="Segment"),
            "variants": Member("list", dart_null=False, of="Variant"),
            "tags": Member("list", dart_null=False, of="Tag"),
        }
    ),
    "Segment": Shape(
        {
            **_ids("id", "flagID"),
            "description": _TEXT,
            "rank": Member("int", required=True, least=0),
            "rolloutPercent": Member("int", required=True, least=0, most=100),
            "constraints": Member("list", of="Constraint"),
            "distributions": Member("list", of="Distribution"),
        }
    ),
    "Constraint": Shape(
        {
            **_ids("id", "segmentID"),
            "property": Member("text", required=True, least=1),
            "operator": Member("operator", required=True),
            "value": Member("text", required=True, least=1),
        }
    ),
    "Distribution": Shape(
        {
            **_ids("id", "segmentID", "variantID"),
            "variantKey": _OPTIONAL,
            "percent": Member("int", required=True, least=0, most=100),
        }
    ),
    "Variant": Shape(
        {**_ids("id", "flagID"), "key": Member("text", required=True, least=1), "attachment": Member("object")}
    ),
    "Tag": Shape({**_ids("id"), "value": Member("text", required=True, least=1)}),
    "FlagSnapshot": Shape(
        {
            **_ids("id"),
            "updatedBy": _OPTIONAL,
            "flag": Member("shape", required=True, of="Flag"),
            "updatedAt": Member("time", required=True),
        }
    ),
    "Error": Shape({"message": Member("text", required=True, least=1)}),
    "EvalResult": Shape(
        {
            "flagID": Member("int", dart_null=False),
            "flagKey": Member("text", dart_null=False),
            "flagSnapshotID": Member("int"),
            "flagTags": Member("texts"),
            "segmentID": Member("int"),
            "variantID": Member("int"),
            "variantKey": Member("text", least=1),
            "variantAttachment": Member("object"),
            "evalContext": Member("shape", dart_null=False, of="EvalContext"),
            "evalDebugLog": Member("shape", dart_null=False, of="DebugLog"),
            "timestamp": Member("time", dart_null=False),
        },
        go_strict=False,
    ),
    "EvalContext": Shape(
        {
            "entityID": Member("text", dart_null=False),
            "entityType": Member("text", dart_null=False),
            "entityContext": Member("object"),
            "enableDebug": Member("bool", dart_null=False),
            "flagID": Member("int", least=1),
            "flagKey": _OPTIONAL,
            "flagTags": Member("texts"),
            "flagTagsOperator": Member("tags operator"),
        },
        go_strict=False,
    ),
    "DebugLog": Shape({"msg": _OPTIONAL, "segmentDebugLogs": Member("list", of="SegmentLog")}, go_strict=False),
    "SegmentLog": Shape({"segmentID": Member("int", least=1), "msg": _OPTIONAL}, go_strict=False),
    "Batch": Shape({"evaluationResults": Member("list", required=True, of="EvalResult")}),
    "Export": Shape(
        {"revision": _OPTIONAL, "flags": Member("list", required=True, dart_null=False, of="Flag")}, go_strict=False
    ),
    "Health": Shape({"status": _OPTIONAL}, go_strict=False),
    "Event": Shape(
        {
            "type": _TEXT,
            "flagID": Member("int"),
            "flagKey": _OPTIONAL,
            "message": _TEXT,
            "data": Member("text map"),
            "timestamp": Member("int", required=True),
        },
        go_strict=False,
    ),
}

CLIENTS = ("go", "python", "kotlin", "dart", "swift")


def problems(client: str, shape: str, document: Any, path: str = "$") -> Iterator[str]:
    """Yield why a client refuses a document that should be of this shape."""
    if not isinstance(document, dict):
        yield f"{path}: no object"
        return
    members = SHAPES[shape].members
    if client == "go" and SHAPES[shape].go_strict:
        # Looking for unknown names, Go does not mind the case: `flagId` passes beside `flagID`.
        known = {name.lower() for name in members}
        yield from (f"{path}.{name}: unknown" for name in document if name.lower() not in known)
    for name, member in members.items():
        if name not in document:
            if member.required:
                yield f"{path}.{name}: missing"
            continue
        yield from _value_problems(client, member, document[name], f"{path}.{name}")


def _value_problems(client: str, member: Member, value: Any, path: str) -> Iterator[str]:
    if value is None:
        refused = not member.dart_null if client == "dart" else member.required and client != "go"
        if refused or (member.required and client == "dart"):
            yield f"{path}: null"
        return
    yield from _KINDS[member.kind](client, member, value, path)


def _int(client: str, member: Member, value: Any, path: str) -> Iterator[str]:
    if client == "kotlin" and isinstance(value, str) and value.isdigit():
        return
    if isinstance(value, bool) or not isinstance(value, int):
        yield f"{path}: {value!r} is no integer"
    elif client == "python" and not _within(member, value):
        yield f"{path}: {value} is out of range"


def _within(member: Member, value: int) -> bool:
    return (member.least is None or value >= member.least) and (member.most is None or value <= member.most)


def _text(client: str, member: Member, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path}: {value!r} is no text"
    elif client == "python" and member.least is not None and len(value) < member.least:
        yield f"{path}: too short"


def _bool(_client: str, _member: Member, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, bool):
        yield f"{path}: {value!r} is no boolean"


def _object(_client: str, _member: Member, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: no object"


def _operator(client: str, _member: Member, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str) or (client in ("python", "kotlin") and value not in OPERATORS):
        yield f"{path}: {value!r} is no operator"


def _tags_operator(client: str, _member: Member, value: Any, path: str) -> Iterator[str]:
    if client in ("python", "kotlin") and value not in ("ANY", "ALL"):
        yield f"{path}: {value!r} is neither ANY nor ALL"


def _time(client: str, _member: Member, value: Any, path: str) -> Iterator[str]:
    if client == "python":
        return  # takes numbers, and texts without a zone
    pattern = _SWIFT_TIME if client == "swift" else _RFC_3339
    if not isinstance(value, str) or not pattern.fullmatch(value):
        yield f"{path}: {value!r} is no time"


def _texts(_client: str, _member: Member, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        yield f"{path}: no list of texts"


def _text_map(client: str, _member: Member, value: Any, path: str) -> Iterator[str]:
    if client in ("go", "kotlin") and not (isinstance(value, dict) and all(isinstance(v, str) for v in value.values())):
        yield f"{path}: not only texts"


def _list(client: str, member: Member, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: no list"
        return
    for position, each in enumerate(value):
        yield from problems(client, member.of, each, f"{path}[{position}]")


def _shape(client: str, member: Member, value: Any, path: str) -> Iterator[str]:
    yield from problems(client, member.of, value, path)


_KINDS: dict[str, Callable[[str, Member, Any, str], Iterator[str]]] = {
    "int": _int,
    "text": _text,
    "bool": _bool,
    "object": _object,
    "operator": _operator,
    "tags operator": _tags_operator,
    "time": _time,
    "texts": _texts,
    "text map": _text_map,
    "list": _list,
    "shape": _shape,
}
