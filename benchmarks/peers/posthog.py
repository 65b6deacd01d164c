"""PostHog: local evaluation on definitions that are put in, without events and without polling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posthog import Posthog

from .cases import Call, Case, Condition, Person, call_with_properties

#: Nothing listens there.
_NOWHERE = "http://127.0.0.1:9"
_OPERATORS = {"is": "exact", "at least": "gte", "one of": "exact", "matches": "regex"}


class Adapter:
    """A client; see `cases.Sdk`."""

    def __init__(self, cases: list[Case], folder: Path) -> None:
        del folder
        self._client = Posthog(
            "phc_benchmark", host=_NOWHERE, personal_api_key="phx_benchmark", enable_local_evaluation=False, send=False
        )
        self._client.feature_flags = [_flag(number, case) for number, case in enumerate(cases, 1)]

    def call(self, case: Case, people: list[Person]) -> Call | None:
        names = {"method": self._client.get_feature_flag, "key": case.key}
        expression = (
            "method(key, person, person_properties=properties, only_evaluate_locally=True, "
            "send_feature_flag_events=False)"
        )
        return call_with_properties(expression, names, people)

    def everything(self, person: Person) -> Call | None:
        names = {"method": self._client.get_all_flags, "properties": person.properties}
        expression = "len(method(person, person_properties=properties, only_evaluate_locally=True))"
        return Call(expression, names, [person.id])


def _flag(number: int, case: Case) -> dict[str, Any]:
    groups = [
        {"properties": list(map(_property, rule)), "rollout_percentage": case.share} for rule in case.rules or ((),)
    ]
    split = None
    if case.split:
        percent = 100 // len(case.split)
        split = {"variants": [{"key": name, "rollout_percentage": percent} for name in case.split]}
    filters = {"groups": groups, "payloads": {}, "multivariate": split}
    return {"id": number, "key": case.key, "active": True, "filters": filters, "ensure_experience_continuity": False}


def _property(condition: Condition) -> dict[str, Any]:
    value = condition.values if condition.operator in ("is", "one of") else condition.value
    operator = _OPERATORS[condition.operator]
    return {"key": condition.name, "type": "person", "operator": operator, "value": value}
