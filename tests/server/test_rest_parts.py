"""Segments, constraints, distributions, variants and tags over HTTP."""

from typing import Any

import pytest
from rest import Rest


@pytest.fixture
def flag(rest: Rest) -> Any:
    """A flag with one segment that gives everybody the variant `on`."""
    return rest.flag("a", template="simple_boolean_flag")


@pytest.mark.usefixtures("flag")
def test_segments_are_made_changed_and_deleted(rest: Rest) -> None:
    made = rest.post("/flags/1/segments", {"description": "s", "rolloutPercent": 25})
    changed = rest.put("/flags/1/segments/2", {"description": "t", "rolloutPercent": 0})

    expected = {"id": 2, "flagID": 1, "description": "s", "rank": 999, "rolloutPercent": 25}
    assert made == {**expected, "constraints": [], "distributions": []}
    assert changed == {**made, "description": "t", "rolloutPercent": 0}
    assert rest.get("/flags/1/segments/2") == changed
    assert [segment["id"] for segment in rest.get("/flags/1/segments")] == [1, 2]

    rest.delete("/flags/1/segments/2")
    assert [segment["id"] for segment in rest.get("/flags/1/segments")] == [1]
    assert rest.refusal("GET", "/flags/1/segments/2") == (404, "flag 'a' has no segment 2")


@pytest.mark.usefixtures("flag")
def test_segments_are_listed_in_the_new_order(rest: Rest) -> None:
    for _ in range(2):
        rest.post("/flags/1/segments", {"description": "", "rolloutPercent": 1})

    assert rest.put("/flags/1/segments/reorder", {"segmentIDs": [3, 1, 2]}) is None

    assert [(each["id"], each["rank"]) for each in rest.get("/flags/1/segments")] == [(3, 0), (1, 1), (2, 2)]
    assert rest.get("/flags/1")["segments"] == rest.get("/flags/1/segments")


@pytest.mark.usefixtures("flag")
def test_constraints_are_made_changed_and_deleted(rest: Rest) -> None:
    path = "/flags/1/segments/1/constraints"
    made = rest.post(path, {"property": "country", "operator": "EREG", "value": "^(NZ|AU)$"})
    rest.post(path, {"property": "age", "operator": "LT", "value": "young"})
    changed = rest.put(f"{path}/1", {"property": "country", "operator": "IN", "value": "NZ,AU"})

    assert made == {"id": 1, "segmentID": 1, "property": "country", "operator": "EREG", "value": "^(NZ|AU)$"}
    assert changed == {**made, "operator": "IN", "value": "NZ,AU"}
    assert [constraint["id"] for constraint in rest.get(path)] == [1, 2]

    rest.delete(f"{path}/1")
    assert [constraint["id"] for constraint in rest.get(path)] == [2]
    assert [each["id"] for each in rest.get("/flags/1")["segments"][0]["constraints"]] == [2]


@pytest.mark.usefixtures("flag")
def test_distributions_are_replaced_and_listed_by_variant(rest: Rest) -> None:
    rest.post("/flags/1/variants", {"key": "off"})
    shares = [{"variantID": 2, "percent": 30, "variantKey": None}, {"variantID": 1, "percent": 70, "variantKey": "on"}]

    answer = rest.put("/flags/1/segments/1/distributions", {"distributions": shares})

    assert answer == [
        {"id": 1, "segmentID": 1, "variantID": 1, "variantKey": "on", "percent": 70},
        {"id": 2, "segmentID": 1, "variantID": 2, "variantKey": "off", "percent": 30},
    ]
    assert rest.get("/flags/1/segments/1/distributions") == answer


@pytest.mark.usefixtures("flag")
def test_variants_are_made_changed_and_deleted(rest: Rest) -> None:
    made = rest.post("/flags/1/variants", {"key": "off", "attachment": {"color": "red"}})
    changed = rest.put("/flags/1/variants/2", {"key": "no"})

    assert made == {"id": 2, "flagID": 1, "key": "off", "attachment": {"color": "red"}}
    assert changed == {**made, "key": "no", "attachment": None}
    assert [variant["id"] for variant in rest.get("/flags/1/variants")] == [1, 2]

    rest.delete("/flags/1/variants/2")
    assert [variant["id"] for variant in rest.get("/flags/1/variants")] == [1]


@pytest.mark.usefixtures("flag")
def test_a_new_variant_key_shows_in_the_distributions(rest: Rest) -> None:
    rest.put("/flags/1/variants/1", {"key": "yes"})

    assert rest.get("/flags/1/segments/1/distributions")[0]["variantKey"] == "yes"


@pytest.mark.parametrize(
    "attachment",
    [
        {},
        {"text": "é\u0000\U0001f600", "n": [0, -1, 2**53 + 1, 1.5, 1e300, -0.0], "b": [True, False, None]},
        {"deep": {"deeper": [{"deepest": {}}]}},
        {"": "an empty name", "1": "a number's name"},
    ],
    ids=["empty", "every kind", "nested", "odd names"],
)
def test_attachments_come_back_as_they_were_sent(shared_rest: Rest, attachment: dict[str, Any]) -> None:
    path = f"/flags/{shared_rest.flag()['id']}/variants"

    shared_rest.post(path, {"key": "v", "attachment": attachment})

    assert shared_rest.get(path)[0]["attachment"] == attachment


def test_a_tag_has_one_id_on_all_flags(rest: Rest) -> None:
    for key in ("a", "b"):
        rest.flag(key)

    assert rest.post("/flags/1/tags", {"value": "team a"}) == {"id": 1, "value": "team a"}
    rest.post("/flags/1/tags", {"value": "other"})
    rest.delete("/flags/1/tags/1")
    rest.delete("/flags/1/tags/1")

    assert rest.post("/flags/2/tags", {"value": "team a"}) == {"id": 1, "value": "team a"}
    assert rest.get("/flags/1/tags") == [{"id": 2, "value": "other"}]
    assert rest.get("/tags") == [{"id": 1, "value": "team a"}, {"id": 2, "value": "other"}]
    assert rest.get("/tags?value_like=TEAM") == [{"id": 1, "value": "team a"}]
    assert rest.get("/tags?limit=1&offset=1") == [{"id": 2, "value": "other"}]
