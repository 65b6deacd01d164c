"""The table of variations: which of Flagent's clients accepts what. The readers must be able to refuse."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from compat.readers import CLIENTS, problems
from compat.responses import shape_of

FLAG: dict[str, Any] = {
    "id": 1,
    "key": "new_feature",
    "description": "",
    "enabled": True,
    "dataRecordsEnabled": False,
    "snapshotID": 5,
    "entityType": None,
    "notes": None,
    "createdBy": None,
    "updatedBy": "someone",
    "segments": [
        {
            "id": 2,
            "flagID": 1,
            "description": "",
            "rank": 0,
            "rolloutPercent": 100,
            "constraints": [{"id": 3, "segmentID": 2, "property": "region", "operator": "EQ", "value": "US"}],
            "distributions": [{"id": 4, "segmentID": 2, "variantID": 6, "variantKey": "on", "percent": 100}],
        }
    ],
    "variants": [{"id": 6, "flagID": 1, "key": "on", "attachment": {"a": {"nested": [1]}}}],
    "tags": [{"id": 7, "value": "prod"}],
}
RESULT: dict[str, Any] = {
    "flagID": 1,
    "flagKey": "a",
    "flagSnapshotID": 5,
    "flagTags": [],
    "segmentID": None,
    "variantID": None,
    "variantKey": None,
    "variantAttachment": None,
    "evalContext": {"entityID": "u", "flagKey": "a"},
    "evalDebugLog": {"msg": "", "segmentDebugLogs": [{"segmentID": 2, "msg": ""}]},
    "timestamp": "2026-01-02T03:04:05.678Z",
    "reason": "NO_MATCH",
}
EVENT: dict[str, Any] = {
    "type": "flag.updated",
    "flagID": 1,
    "flagKey": "a",
    "message": "Flag updated: a",
    "data": {"enabled": "true"},
    "timestamp": 1,
    "revision": "e:1",
}
GONE = object()


def refused_by(shape: str, document: Any) -> set[str]:
    return {client for client in CLIENTS if list(problems(client, shape, document))}


def varied(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    copy = deepcopy(document)
    *parents, last = path.split(".")
    target: Any = copy
    for name in parents:
        target = target[int(name)] if name.isdigit() else target[name]
    if value is GONE:
        del target[last]
    else:
        target[last] = value
    return copy


@pytest.mark.parametrize(("shape", "document"), [("Flag", FLAG), ("EvalResult", RESULT), ("Event", EVENT)])
def test_a_good_document_is_accepted_by_all(shape: str, document: dict[str, Any]) -> None:
    assert refused_by(shape, document) == set()


@pytest.mark.parametrize(
    ("path", "value", "refusing"),
    [
        ("extra", 1, {"go"}),
        ("segments.0.extra", 1, {"go"}),
        ("segments.0.constraints.0.extra", 1, {"go"}),
        ("segments.0.distributions.0.extra", 1, {"go"}),
        ("variants.0.extra", 1, {"go"}),
        ("tags.0.extra", 1, {"go"}),
        ("updatedAt", "2026-01-02T03:04:05Z", {"go"}),
        ("archived", False, {"go"}),
        ("segments.0.flagId", 1, set()),
        ("segments.0.flagID", GONE, set(CLIENTS)),
        ("description", GONE, set(CLIENTS)),
        ("dataRecordsEnabled", GONE, set(CLIENTS)),
        ("segments.0.description", None, {"python", "kotlin", "dart", "swift"}),
        ("segments.0.rank", GONE, set(CLIENTS)),
        ("segments", None, {"dart"}),
        ("segments.0.constraints", None, set()),
        ("segments.0.distributions.0.variantKey", None, set()),
        ("variants.0.attachment", None, set()),
        ("variants.0.attachment", [1], set(CLIENTS)),
        ("segments.0.distributions.0.percent", 33.5, set(CLIENTS)),
        ("segments.0.distributions.0.percent", 100.0, set(CLIENTS)),
        ("segments.0.rolloutPercent", 101, {"python"}),
        ("id", "1", {"go", "python", "dart", "swift"}),
        ("id", 0, {"python"}),
        ("segments.0.constraints.0.operator", "LIKE", {"python", "kotlin"}),
        ("segments.0.constraints.0.value", "", {"python"}),
        ("snapshotID", None, {"dart"}),
    ],
)
def test_a_variation_of_a_flag_is_refused_by_those_that_do(path: str, value: Any, refusing: set[str]) -> None:
    assert refused_by("Flag", varied(FLAG, path, value)) == refusing


@pytest.mark.parametrize(
    ("path", "value", "refusing"),
    [
        ("extra", 1, set()),
        ("evalContext.extra", 1, set()),
        ("timestamp", 1767323045678, {"go", "kotlin", "dart", "swift"}),
        ("timestamp", "2026-01-02T03:04:05", {"go", "kotlin", "dart", "swift"}),
        ("timestamp", "2026-01-02T03:04:05.67Z", {"swift"}),
        ("timestamp", None, {"dart"}),
        ("timestamp", GONE, set()),
        ("evalDebugLog", None, {"dart"}),
        ("evalDebugLog", GONE, set()),
        ("evalDebugLog.segmentDebugLogs.0.segmentID", 0, {"python"}),
        ("evalContext.flagID", 0, {"python"}),
        ("evalContext.flagTagsOperator", "", {"python", "kotlin"}),
        ("evalContext.entityID", None, {"dart"}),
        ("variantKey", "", {"python"}),
        ("variantAttachment", [1], set(CLIENTS)),
    ],
)
def test_a_variation_of_a_result_is_refused_by_those_that_do(path: str, value: Any, refusing: set[str]) -> None:
    assert refused_by("EvalResult", varied(RESULT, path, value)) == refusing


@pytest.mark.parametrize(
    ("path", "value", "refusing"),
    [
        ("data.enabled", True, {"go", "kotlin"}),
        ("data.extra", 1, {"go", "kotlin"}),
        ("message", GONE, set(CLIENTS)),
        ("timestamp", GONE, set(CLIENTS)),
        ("digest", "0" * 16, set()),
    ],
)
def test_a_variation_of_an_event_is_refused_by_those_that_do(path: str, value: Any, refusing: set[str]) -> None:
    assert refused_by("Event", varied(EVENT, path, value)) == refusing


@pytest.mark.parametrize(
    ("shape", "document", "refusing"),
    [
        ("Error", {"message": "no"}, set()),
        ("Error", {"error": "no"}, set(CLIENTS)),
        ("Error", {"message": "no", "code": 7}, {"go"}),
        ("Batch", {"evaluationResults": []}, set()),
        ("Batch", {"evaluationResults": [], "extra": 1}, {"go"}),
        ("Export", {"revision": "e:1", "flags": [], "extra": 1}, set()),
        ("Export", {"revision": 7, "flags": []}, set(CLIENTS)),
        ("Export", {"revision": "e:1"}, set(CLIENTS)),
        ("FlagSnapshot", {"id": 1, "updatedBy": None, "flag": FLAG, "updatedAt": "2026-01-02T03:04:05Z"}, set()),
        (
            "FlagSnapshot",
            {"id": 1, "flag": FLAG, "updatedAt": "2026-01-02T03:04:05"},
            {"go", "kotlin", "dart", "swift"},
        ),
    ],
)
def test_other_documents_are_refused_by_those_that_do(shape: str, document: dict[str, Any], refusing: set[str]) -> None:
    assert refused_by(shape, document) == refusing


@pytest.mark.parametrize(
    ("method", "path", "shape"),
    [
        ("GET", "/api/v1/flags", "*Flag"),
        ("GET", "/api/v1/flags/7", "Flag"),
        ("GET", "/api/v1/flags/entity_types", None),
        ("PUT", "/api/v1/flags/7/segments/reorder", None),
        ("PUT", "/api/v1/flags/7/segments/9", "Segment"),
        ("DELETE", "/api/v1/flags/7", None),
        ("POST", "/api/v1/import", None),
    ],
)
def test_each_route_has_its_shape(method: str, path: str, shape: str | None) -> None:
    assert shape_of(method, path) == shape
