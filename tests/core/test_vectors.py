"""Every case of the shared vectors gives the expected answer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flagent.core.changes import Snapshot
from flagent.core.evaluation import EvalResult, Ruleset
from flagent.core.model import Flag

_DATA = Path(__file__).parent.parent / "data"


def cases(name: str) -> Iterator[Any]:
    for case in json.loads((_DATA / name).read_text())["cases"]:
        yield pytest.param(case, id=f"{case['id']}-{case['tags'][0]}")


def evaluated(case: dict[str, Any], *, rollout: str, debug: bool = False) -> EvalResult:
    flag = msgspec.convert(case["flag"] | {"rollout": rollout}, Flag)
    request = case["request"]
    rules = Ruleset.compile(Snapshot.of("vectors", 1, [flag]))
    return rules.evaluate(flag.key, request["entityID"], request.get("entityContext"), debug=debug)


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
@pytest.mark.parametrize("case", list(cases("evaluation.json")))
def test_threshold_flags_evaluate_as_expected(case: dict[str, Any], debug: bool) -> None:
    result = evaluated(case, rollout="threshold", debug=debug)

    assert {
        "variantKey": result.variant_key,
        "variantID": result.variant_id,
        "segmentID": result.segment_id,
        "reason": result.reason,
    } == case["expected"]


@pytest.mark.parametrize("case", list(cases("proportional.json")))
def test_proportional_flags_evaluate_as_expected(case: dict[str, Any]) -> None:
    result = evaluated(case, rollout="proportional")

    assert {"variantKey": result.variant_key, "variantID": result.variant_id} == case["expected"]
