"""Unleash: the client on flags from its cache, without fetching, metrics and registration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from .cases import Call, Case, Condition, Person

#: Nothing listens there.
_NOWHERE = "http://127.0.0.1:9/api"
_NEVER = 1_000_000


class Adapter:
    """A client; see `cases.Sdk`."""

    def __init__(self, cases: list[Case], folder: Path) -> None:
        cache = FileCache("benchmark", directory=str(folder))
        cache.bootstrap_from_dict({"version": 2, "features": [_feature(case) for case in cases]})
        self._client = UnleashClient(
            url=_NOWHERE,
            app_name="benchmark",
            disable_metrics=True,
            disable_registration=True,
            cache=cache,
            refresh_interval=_NEVER,
        )
        self._client.initialize_client(fetch_toggles=False)

    def call(self, case: Case, people: list[Person]) -> Call | None:
        contexts = [
            {"userId": person.id, "properties": {name: str(value) for name, value in person.properties.items()}}
            for person in people
        ]
        if case.split:
            return Call('method(key, person)["name"]', {"method": self._client.get_variant, "key": case.key}, contexts)
        return Call("method(key, person)", {"method": self._client.is_enabled, "key": case.key}, contexts)

    def everything(self, person: Person) -> Call | None:
        del person
        return None


def _feature(case: Case) -> dict[str, Any]:
    strategies: list[dict[str, Any]] = []
    for rule in case.rules or ((),):
        parameters = {"rollout": str(case.share), "stickiness": "userId", "groupId": case.key}
        strategy = {"name": "flexibleRollout", "parameters": parameters, "constraints": list(map(_constraint, rule))}
        if case.share == 100 and not rule:
            strategy = {"name": "default", "parameters": {}, "constraints": []}
        if case.split:
            weight = 1000 // len(case.split)
            payload = {"type": "string", "value": "-"}
            strategy["variants"] = [
                {"name": name, "weight": weight, "stickiness": "userId", "payload": payload} for name in case.split
            ]
        strategies.append(strategy)
    fixed = {"type": "release", "enabled": True, "stale": False, "project": "default", "impressionData": False}
    return {"name": case.key, **fixed, "strategies": strategies, "variants": []}


def _constraint(condition: Condition) -> dict[str, Any]:
    stated: dict[str, Any] = {"contextName": condition.name, "inverted": False}
    if condition.operator in ("is", "one of"):
        return {**stated, "operator": "IN", "values": condition.values}
    operator = "NUM_GTE" if condition.operator == "at least" else "REGEX"
    return {**stated, "operator": operator, "value": str(condition.value), "values": []}
