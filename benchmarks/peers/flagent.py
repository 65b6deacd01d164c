"""flagent: `OfflineManager` on flags that the program has, by its complete public methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flagent import OfflineManager

from .cases import Call, Case, Condition, Person, call_with_properties

_OPERATORS = {"is": "EQ", "at least": "GTE", "one of": "IN", "matches": "EREG"}


class Adapter:
    """A manager; see `cases.Sdk`."""

    def __init__(self, cases: list[Case], folder: Path) -> None:
        del folder
        self._manager = OfflineManager({"version": "1", "flags": [_flag(case) for case in cases]})

    def call(self, case: Case, people: list[Person]) -> Call | None:
        method = self._manager.get_variant if case.split else self._manager.is_enabled
        return call_with_properties("method(key, person, properties)", {"method": method, "key": case.key}, people)

    def everything(self, person: Person) -> Call | None:
        names = {"method": self._manager.evaluate_all, "context": person.properties}
        return Call("len(method(person, context))", names, [person.id])


def _flag(case: Case) -> dict[str, Any]:
    names = case.split or ("on",)
    shares = [{"variantKey": name, "percent": 100 // len(names)} for name in names]
    return {
        "key": case.key,
        "enabled": True,
        "variants": [{"key": name} for name in names],
        "segments": [
            {"rolloutPercent": case.share, "constraints": list(map(_constraint, rule)), "distributions": shares}
            for rule in case.rules or ((),)
        ],
    }


def _constraint(condition: Condition) -> dict[str, str]:
    value = ",".join(map(str, condition.values))
    return {"property": condition.name, "operator": _OPERATORS[condition.operator], "value": value}
