"""flagd behind OpenFeature: the client in front of the provider that evaluates in process, on a file.

It has no regular expressions, so it has no flag `f`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

from .cases import NEITHER, Call, Case, Condition, Person

_START_LIMIT = 10.0


class Adapter:
    """A client; see `cases.Sdk`."""

    def __init__(self, cases: list[Case], folder: Path) -> None:
        file = folder / "flagd.json"
        supported = [case for case in cases if case.kind != "f"]
        file.write_text(json.dumps({"flags": {case.key: _flag(case) for case in supported}}))
        provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(file))
        api.set_provider(provider)
        self._client = api.get_client()
        limit = time.monotonic() + _START_LIMIT
        while self._client.get_provider_status().name != "READY":
            if time.monotonic() > limit:
                raise TimeoutError("the provider is not ready")
            time.sleep(0.01)

    def call(self, case: Case, people: list[Person]) -> Call | None:
        if case.kind == "f":
            return None
        method = self._client.get_string_value if case.split else self._client.get_boolean_value
        names = {"method": method, "key": case.key, "default": NEITHER if case.split else False}
        contexts = [EvaluationContext(person.id, person.properties) for person in people]
        return Call("method(key, default, person)", names, contexts)

    def everything(self, person: Person) -> Call | None:
        del person
        return None


def _flag(case: Case) -> dict[str, Any]:
    served: Any = "on"
    bucket = {"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]}
    if case.split:
        served = {"fractional": [bucket, *([name, 100 // len(case.split)] for name in case.split)]}
    elif case.share < 100:
        served = {"fractional": [bucket, ["on", case.share], ["off", 100 - case.share]]}
    nobody = NEITHER if case.split else "off"
    targeting: Any = nobody if case.rules else served
    for rule in reversed(case.rules):
        conditions = list(map(_condition, rule))
        targeting = {"if": [conditions[0] if len(conditions) == 1 else {"and": conditions}, served, targeting]}
    flag = {
        "state": "ENABLED",
        "variants": {name: name for name in (*case.split, NEITHER)} if case.split else {"on": True, "off": False},
        "defaultVariant": nobody if case.rules or case.share < 100 else "on",
    }
    return flag if targeting == "on" else {**flag, "targeting": targeting}


def _condition(condition: Condition) -> dict[str, Any]:
    operator = {"is": "==", "at least": ">=", "one of": "in"}[condition.operator]
    value = condition.values if condition.operator == "one of" else condition.value
    return {operator: [{"var": condition.name}, value]}
