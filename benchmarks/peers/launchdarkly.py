"""LaunchDarkly: the client with its data source for files, without events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ldclient
from ldclient.config import Config
from ldclient.integrations import Files

from .cases import NEITHER, Call, Case, Person

_OPERATORS = {"is": "in", "at least": "greaterThanOrEqual", "one of": "in", "matches": "matches"}


class Adapter:
    """A client; see `cases.Sdk`."""

    def __init__(self, cases: list[Case], folder: Path) -> None:
        file = folder / "flags.json"
        file.write_text(json.dumps({"flags": {case.key: _flag(case) for case in cases}}))
        source = Files.new_data_source(paths=[str(file)])
        config = Config("sdk-key", update_processor_class=source, send_events=False, diagnostic_opt_out=True)
        self._client = ldclient.LDClient(config)

    def call(self, case: Case, people: list[Person]) -> Call | None:
        names = {"method": self._client.variation, "key": case.key, "default": NEITHER if case.split else False}
        return Call("method(key, person, default)", names, list(map(_context, people)))

    def everything(self, person: Person) -> Call | None:
        names = {"method": self._client.all_flags_state}
        return Call("len(method(person).to_values_map())", names, [_context(person)])


def _context(person: Person) -> Any:
    builder = ldclient.Context.builder(person.id)
    for name, value in person.properties.items():
        builder.set(name, value)
    return builder.build()


def _flag(case: Case) -> dict[str, Any]:
    variations = [*case.split, NEITHER] if case.split else [True, False]
    nobody = {"variation": len(variations) - 1}
    rules = [
        {
            "id": f"rule-{number}",
            "clauses": [
                {"attribute": each.name, "op": _OPERATORS[each.operator], "values": each.values, "negate": False}
                for each in rule
            ],
            **_served(case),
        }
        for number, rule in enumerate(case.rules)
    ]
    return {
        "key": case.key,
        "version": 1,
        "on": True,
        "salt": f"salt of {case.key}",
        "variations": variations,
        "offVariation": len(variations) - 1,
        "targets": [],
        "prerequisites": [],
        "rules": rules,
        "fallthrough": nobody if case.rules else _served(case),
    }


def _served(case: Case) -> dict[str, Any]:
    if case.split:
        shares = [100_000 // len(case.split)] * len(case.split)
    elif case.share < 100:
        shares = [case.share * 1000, 100_000 - case.share * 1000]
    else:
        return {"variation": 0}
    return {"rollout": {"variations": [{"variation": n, "weight": weight} for n, weight in enumerate(shares)]}}
