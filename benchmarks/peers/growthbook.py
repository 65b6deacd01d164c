"""GrowthBook: its evaluation function on a context that is ready, the shortest way there is into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from growthbook import GrowthBook
from growthbook.common_types import EvaluationContext, StackContext, UserContext
from growthbook.core import eval_feature

from .cases import Call, Case, Condition, Person


class Adapter:
    """An instance; see `cases.Sdk`."""

    def __init__(self, cases: list[Case], folder: Path) -> None:
        del folder
        book = GrowthBook(features={case.key: _feature(case) for case in cases}, attributes={})
        self._shared = book._get_eval_context().global_ctx

    def call(self, case: Case, people: list[Person]) -> Call | None:
        names = {
            "evaluate": eval_feature,
            "Context": EvaluationContext,
            "Stack": StackContext,
            "shared": self._shared,
            "key": case.key,
        }
        contexts = [UserContext(attributes={**person.properties, "id": person.id}) for person in people]
        return Call("evaluate(key, Context(person, shared, Stack())).value", names, contexts)

    def everything(self, person: Person) -> Call | None:
        del person
        return None


def _feature(case: Case) -> dict[str, Any]:
    if not case.rules and case.share == 100:
        return {"defaultValue": True}
    served: dict[str, Any] = {"force": True}
    if case.share < 100:
        served |= {"coverage": case.share / 100, "hashAttribute": "id", "hashVersion": 2, "seed": case.key}
    if case.split:
        weights = [1 / len(case.split)] * len(case.split)
        served = {"key": case.key, "variations": list(case.split), "weights": weights, "coverage": 1}
        served |= {"hashAttribute": "id", "hashVersion": 2}
    rules = [{"condition": {each.name: _condition(each) for each in rule}, **served} for rule in case.rules]
    return {"defaultValue": False, "rules": rules or [served]}


def _condition(condition: Condition) -> Any:
    if condition.operator == "is":
        return condition.value
    names = {"at least": "$gte", "one of": "$in", "matches": "$regex"}
    value = condition.values if condition.operator == "one of" else condition.value
    return {names[condition.operator]: value}
