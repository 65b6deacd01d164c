"""Eppo, whose core is in Rust: a configuration that is put in, without polling and logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import eppo_client
from eppo_client import AssignmentLogger, ClientConfig, Configuration

from .cases import NEITHER, Call, Case, Condition, Person, call_with_properties

#: Nothing listens there.
_NOWHERE = "http://127.0.0.1:9"
_OPERATORS = {"is": "ONE_OF", "at least": "GTE", "one of": "ONE_OF", "matches": "MATCHES"}
_SHARDS = 10_000


class Adapter:
    """A client; see `cases.Sdk`."""

    def __init__(self, cases: list[Case], folder: Path) -> None:
        del folder
        flags = {case.key: _flag(case) for case in cases}
        stated = {"createdAt": "2026-01-01T00:00:00Z", "format": "SERVER", "environment": {"name": "benchmark"}}
        configuration = Configuration(flags_configuration=json.dumps({**stated, "flags": flags}).encode())
        settings = ClientConfig(
            api_key="benchmark",
            base_url=_NOWHERE,
            assignment_logger=AssignmentLogger(),
            poll_interval_seconds=None,
            initial_configuration=configuration,
        )
        self._keys = list(flags)
        self._client = eppo_client.init(settings)

    def call(self, case: Case, people: list[Person]) -> Call | None:
        method = self._client.get_string_assignment if case.split else self._client.get_boolean_assignment
        names = {"method": method, "key": case.key, "default": NEITHER if case.split else False}
        return call_with_properties("method(key, person, properties, default)", names, people)

    def everything(self, person: Person) -> Call | None:
        del person
        return None


def _flag(case: Case) -> dict[str, Any]:
    values: dict[str, Any] = {name: name for name in case.split} if case.split else {"on": True}
    allocations = [
        {
            "key": f"rule-{number}",
            "rules": [{"conditions": list(map(_condition, rule))}] if rule else [],
            "splits": _splits(case),
            "doLog": False,
        }
        for number, rule in enumerate(case.rules or ((),))
    ]
    return {
        "key": case.key,
        "enabled": True,
        "variationType": "STRING" if case.split else "BOOLEAN",
        "variations": {name: {"key": name, "value": value} for name, value in values.items()},
        "allocations": allocations,
        "totalShards": _SHARDS,
    }


def _splits(case: Case) -> list[dict[str, Any]]:
    width = _SHARDS // len(case.split) if case.split else _SHARDS * case.share // 100
    splits = []
    for number, name in enumerate(case.split or ("on",)):
        ranges = [{"start": number * width, "end": (number + 1) * width}]
        shards = [] if width == _SHARDS else [{"salt": case.key, "ranges": ranges}]
        splits.append({"variationKey": name, "shards": shards, "extraLogging": {}})
    return splits


def _condition(condition: Condition) -> dict[str, Any]:
    value = condition.values if condition.operator in ("is", "one of") else condition.value
    return {"attribute": condition.name, "operator": _OPERATORS[condition.operator], "value": value}
