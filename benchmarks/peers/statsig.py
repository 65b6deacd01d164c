"""Statsig's Python SDK with the core in Rust: specs from a data store, without network and exposure logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from statsig_python_core import (
    DynamicConfigEvaluationOptions,
    FeatureGateEvaluationOptions,
    Statsig,
    StatsigOptions,
    StatsigUser,
)
from statsig_python_core.data_store import DataStore, DataStoreResponse

from .cases import NEITHER, Call, Case, Condition, Person

_OPERATORS = {
    "is": "any_case_sensitive",
    "at least": "gte",
    "one of": "any_case_sensitive",
    "matches": "str_matches",
}
_TIME = 1_700_000_000_000
_OF_USERS = {"idType": "userID", "isDeviceBased": False}


class _Store(DataStore):  # type: ignore[misc]
    """Holds the specs."""

    def __init__(self, specs: str) -> None:
        super().__init__()
        self._specs = specs

    def get(self, key: str) -> Any:
        del key
        return DataStoreResponse(result=self._specs, time=_TIME)

    def initialize(self) -> None:
        """Have nothing to do."""

    def shutdown(self) -> None:
        """Have nothing to do."""


class Adapter:
    """A client; see `cases.Sdk`."""

    def __init__(self, cases: list[Case], folder: Path) -> None:
        del folder
        options = StatsigOptions()
        options.data_store = _Store(json.dumps(_specs(cases)))
        options.disable_network = True
        options.disable_all_logging = True
        options.enable_id_lists = False
        options.disable_country_lookup = True
        self._client = Statsig("secret-benchmark", options)
        self._client.initialize().wait()

    def call(self, case: Case, people: list[Person]) -> Call | None:
        users = list(map(_user, people))
        if case.split:
            options = DynamicConfigEvaluationOptions(disable_exposure_logging=True)
            names = {"method": self._client.get_dynamic_config, "key": case.key, "options": options}
            return Call(f'method(person, key, options).get_string("variant", "{NEITHER}")', names, users)
        options = FeatureGateEvaluationOptions(disable_exposure_logging=True)
        names = {"method": self._client.check_gate, "key": case.key, "options": options}
        return Call("method(person, key, options)", names, users)

    def everything(self, person: Person) -> Call | None:
        # Names of the answer are hashed; their number is what counts.
        names = {"method": self._client.get_client_initialize_response, "loads": json.loads}
        found = "for name, each in loads(method(person)).items()"
        expression = f'sum(len(each) {found} if name in ("feature_gates", "dynamic_configs"))'
        return Call(expression, names, [_user(person)])


def _user(person: Person) -> Any:
    own = {name: value for name, value in person.properties.items() if name not in ("country", "email")}
    known = {name: person.properties[name] for name in ("country", "email")}
    return StatsigUser(user_id=person.id, custom=own, **known)


def _specs(cases: list[Case]) -> dict[str, Any]:
    gates: dict[str, Any] = {}
    configs: dict[str, Any] = {}
    conditions: dict[str, Any] = {"everybody": {**_OF_USERS, "type": "public", "targetValue": None}}
    for case in cases:
        rules: list[dict[str, Any]] = []
        for rank, rule in enumerate(case.rules or ((),)):
            names = ["everybody"] if not rule else [f"{case.key} {rank} {n}" for n in range(len(rule))]
            conditions |= {f"{case.key} {rank} {n}": _field(each) for n, each in enumerate(rule)}
            rules += _rules(case, rank, names, conditions)
        kind = "dynamic_config" if case.split else "feature_gate"
        spec = {**_OF_USERS, "name": case.key, "type": kind, "entity": kind, "salt": case.key, "enabled": True}
        (configs if case.split else gates)[case.key] = {
            **spec,
            "defaultValue": {} if case.split else False,
            "rules": rules,
            "version": 1,
        }
    known = {"feature_gates": gates, "dynamic_configs": configs, "condition_map": conditions, "layer_configs": {}}
    empty: dict[str, Any] = {"experiment_to_layer": {}, "id_lists": {}, "diagnostics": {}, "sdk_configs": {}}
    empty |= {"sdk_flags": {}, "param_stores": {}, "app_id": "benchmark", "company_id": "benchmark"}
    return {**known, **empty, "has_updates": True, "time": _TIME, "response_format": "dcs-v2"}


def _rules(case: Case, rank: int, names: list[str], conditions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules that one of ours becomes; one for each variant, which is a condition on the bucket."""
    rule = {**_OF_USERS, "salt": f"{case.key} {rank}", "passPercentage": case.share}
    if not case.split:
        name = f"{case.key} {rank}"
        return [{**rule, "name": name, "id": name, "conditions": names, "returnValue": True}]
    rules = []
    for number, variant in enumerate(case.split, 1):
        bucket = f"{case.key} {rank} bucket {number}"
        limit = 1000 * number // len(case.split)
        stated = {"type": "user_bucket", "operator": "lt", "targetValue": limit, "field": None}
        conditions[bucket] = {**_OF_USERS, **stated, "additionalValues": {"salt": case.key}}
        more = {"name": bucket, "id": bucket, "groupName": variant, "returnValue": {"variant": variant}}
        rules.append({**rule, **more, "conditions": [*names, bucket]})
    return rules


def _field(condition: Condition) -> dict[str, Any]:
    stated = {"type": "user_field", "field": condition.name, "operator": _OPERATORS[condition.operator]}
    value = condition.values if condition.operator in ("is", "one of") else condition.value
    return {**_OF_USERS, **stated, "targetValue": value, "additionalValues": {}}
