"""Flagsmith: offline mode on an environment document.

A flag is evaluated when the flags of an identity are asked for it, so that is one call here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flagsmith import Flagsmith

from .cases import Call, Case, Condition, Person, call_with_properties

_OPERATORS = {"is": "EQUAL", "at least": "GREATER_THAN_INCLUSIVE", "one of": "IN", "matches": "REGEX"}
_NUMBERS_OF_A_FLAG = 100


class _Given:
    """Hands the document out."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def get_environment(self) -> dict[str, Any]:
        return self._document


class Adapter:
    """A client for each of few flags, since it looks at all of an environment's segments; see `cases.Sdk`."""

    def __init__(self, cases: list[Case], folder: Path) -> None:
        del folder
        self._cases = cases
        self._clients: dict[str, Any] = {}

    def call(self, case: Case, people: list[Person]) -> Call | None:
        client = self._clients.setdefault(case.key, _client([case]))
        names = {"method": client.get_identity_flags, "key": case.key}
        member = "get_feature_value" if case.split else "is_feature_enabled"
        return call_with_properties(f"method(person, properties).{member}(key)", names, people)

    def everything(self, person: Person) -> Call | None:
        names = {"method": _client(self._cases).get_identity_flags, "traits": person.properties}
        expression = "sum(flag.enabled in (True, False) for flag in method(person, traits).all_flags())"
        return Call(expression, names, [person.id])


def _client(cases: list[Case]) -> Any:
    return Flagsmith(offline_mode=True, offline_handler=_Given(_document(cases)))


def _document(cases: list[Case]) -> dict[str, Any]:
    states, segments = [], []
    for number, case in enumerate(cases, 1):
        open_to_all = not case.rules and case.share == 100
        states.append({**_state(number, case), "enabled": open_to_all})
        for rank, rule in enumerate(() if open_to_all else case.rules or ((),)):
            segments.append(_segment(number, rank, case, rule))
    organisation = {"id": 1, "name": "benchmark", "feature_analytics": False}
    organisation |= {"stop_serving_flags": False, "persist_trait_data": True}
    project = {"id": 1, "name": "benchmark", "hide_disabled_flags": False, "organisation": organisation}
    return {
        "api_key": "benchmark",
        "name": "benchmark",
        "id": 1,
        "updated_at": "2026-01-01T00:00:00+00:00",
        "project": {**project, "segments": segments},
        "feature_states": states,
        "identity_overrides": [],
    }


def _state(number: int, case: Case) -> dict[str, Any]:
    feature = {"id": number, "name": case.key, "type": "MULTIVARIATE" if case.split else "STANDARD"}
    return {
        "feature": feature,
        "enabled": True,
        "feature_state_value": None,
        "multivariate_feature_state_values": [],
        "django_id": number,
        "featurestate_uuid": f"00000000-0000-0000-0000-{number:012}",
    }


def _segment(number: int, rank: int, case: Case, rule: tuple[Condition, ...]) -> dict[str, Any]:
    conditions: list[dict[str, str]] = [
        {
            "operator": _OPERATORS[each.operator],
            "property_": each.name,
            "value": ",".join(map(str, each.values)),
        }
        for each in rule
    ]
    if case.share < 100:
        conditions.append({"operator": "PERCENTAGE_SPLIT", "property_": "", "value": str(case.share)})
    rules = [{"type": "ALL", "conditions": [each], "rules": []} for each in conditions]
    values = [_share(number * _NUMBERS_OF_A_FLAG + n, name, case) for n, name in enumerate(case.split)]
    state = {**_state(number, case), "multivariate_feature_state_values": values}
    return {
        "id": number * _NUMBERS_OF_A_FLAG + rank,
        "name": f"{case.key}, rule {rank}",
        "rules": [{"type": "ALL", "conditions": [], "rules": rules}],
        "feature_states": [{**state, "feature_segment": {"priority": rank}}],
    }


def _share(identifier: int, name: str, case: Case) -> dict[str, Any]:
    return {
        "id": identifier,
        "percentage_allocation": 100 // len(case.split),
        "mv_fs_value_uuid": f"00000000-0000-0000-0001-{identifier:012}",
        "multivariate_feature_option": {"id": identifier, "value": name},
    }
