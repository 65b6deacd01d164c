"""Flags over HTTP: list, read, create, change, switch, delete, restore, history."""

import re

import pytest
from rest import Rest

#: Exactly these members, or Flagent's Go SDK refuses the flag.
MEMBERS = {
    "id",
    "key",
    "description",
    "enabled",
    "dataRecordsEnabled",
    "snapshotID",
    "entityType",
    "notes",
    "createdBy",
    "updatedBy",
    "segments",
    "variants",
    "tags",
}
FULL_MEMBERS = MEMBERS | {"revision", "rollout", "updatedAt", "clientVisible"}


def test_a_new_flag_is_disabled_and_answered_as_it_is_stored(rest: Rest) -> None:
    flag = rest.flag("checkout")

    assert flag == {
        "id": 1,
        "key": "checkout",
        "description": "d",
        "enabled": False,
        "dataRecordsEnabled": False,
        "snapshotID": 1,
        "entityType": None,
        "notes": None,
        "createdBy": None,
        "updatedBy": None,
        "segments": [],
        "variants": [],
        "tags": [],
    }
    assert rest.get("/flags/1") == flag


def test_the_template_makes_segment_variant_and_distribution(rest: Rest) -> None:
    flag = rest.flag("a", template="simple_boolean_flag")

    (segment,), (variant,) = flag["segments"], flag["variants"]
    assert variant == {"id": 1, "flagID": 1, "key": "on", "attachment": None}
    assert segment == {
        "id": 1,
        "flagID": 1,
        "description": "",
        "rank": 0,
        "rolloutPercent": 100,
        "constraints": [],
        "distributions": [{"id": 1, "segmentID": 1, "variantID": 1, "variantKey": "on", "percent": 100}],
    }


@pytest.mark.parametrize("key", [None, "", "   "], ids=["absent", "empty", "blank"])
def test_a_key_is_generated_when_none_is_given(shared_rest: Rest, key: str | None) -> None:
    assert re.fullmatch("k[1-9a-km-z]{16}", shared_rest.flag(key)["key"])


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", ""])
def test_a_body_counts_whatever_its_content_type_is(shared_rest: Rest, content_type: str) -> None:
    answer = shared_rest.ask("POST", "/flags", b'{"description": "x"}', headers={"Content-Type": content_type})

    assert answer.status_code == 200


def test_unknown_members_are_ignored_and_null_is_as_good_as_absent(rest: Rest) -> None:
    flag = rest.post(
        "/flags", {"description": "d", "key": None, "template": None, "environmentId": 7, "dependsOn": ["x"]}
    )
    patched = rest.put("/flags/1", {"key": None, "description": None, "notes": "n", "rollout": None, "projectId": {}})

    assert patched == {**flag, "notes": "n", "snapshotID": 2}


def test_a_key_is_taken_also_by_a_deleted_flag(rest: Rest) -> None:
    rest.flag("a")
    rest.flag("b")
    rest.delete("/flags/1")

    assert rest.refusal("POST", "/flags", {"description": "", "key": "b"}) == (400, "key: 'b' is taken by flag 2")
    assert rest.refusal("POST", "/flags", {"description": "", "key": "a"}) == (
        400,
        "key: 'a' is taken by the deleted flag 1",
    )
    assert rest.refusal("PUT", "/flags/2", {"key": "a"}) == (400, "key: 'a' is taken by the deleted flag 1")
    assert rest.revision() == 3


def test_every_member_can_be_changed(rest: Rest) -> None:
    rest.flag("a")
    changes = {
        "key": "b",
        "description": "",
        "enabled": True,
        "dataRecordsEnabled": True,
        "entityType": "user",
        "notes": "n",
        "rollout": "proportional",
        "clientVisible": True,
    }

    flag = rest.put("/flags/1?view=full", changes)

    assert set(flag) == FULL_MEMBERS
    assert {name: flag[name] for name in changes} == changes
    assert (flag["snapshotID"], flag["revision"]) == (2, 2)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", flag["updatedAt"])
    assert rest.get("/flags/entity_types") == ["user"]


def test_only_the_full_view_has_more_members_than_flagent(rest: Rest) -> None:
    rest.flag("a")

    assert set(rest.get("/flags/1")) == set(rest.get("/flags")[0]) == MEMBERS
    assert set(rest.get("/flags/1?view=full")) == set(rest.get("/flags?view=full")[0]) == FULL_MEMBERS
    assert rest.refusal("GET", "/flags/1?view=huge")[0] == 400


def test_an_edit_that_changes_nothing_writes_nothing(rest: Rest) -> None:
    flag = rest.flag("a", template="simple_boolean_flag")

    assert rest.put("/flags/1/enabled", {"enabled": False}) == flag
    assert rest.put("/flags/1", {"description": "d"}) == flag
    assert rest.put("/flags/1/restore") == flag
    assert rest.put("/flags/batch/enabled", {"ids": [1], "enabled": False}) == [flag]
    assert rest.revision() == 1


def test_flags_are_switched_one_by_one_or_several_at_once(rest: Rest) -> None:
    for key in ("a", "b", "c"):
        rest.flag(key)

    assert rest.put("/flags/2/enabled", {"enabled": True})["enabled"] is True
    flags = rest.put("/flags/batch/enabled", {"ids": [3, 2, 1, 3], "enabled": True})

    assert [(flag["id"], flag["enabled"], flag["snapshotID"]) for flag in flags] == [
        (3, True, 5),
        (2, True, 4),
        (1, True, 6),
    ]


def test_a_batch_with_an_unknown_flag_switches_none(rest: Rest) -> None:
    rest.flag("a")

    assert rest.refusal("PUT", "/flags/batch/enabled", {"ids": [1, 9], "enabled": True}) == (404, "flag 9 not found")
    assert rest.revision() == 1


def test_a_deleted_flag_can_be_restored_as_it_was(rest: Rest) -> None:
    flag = rest.flag("a", template="simple_boolean_flag")
    rest.delete("/flags/1")
    rest.delete("/flags/1")

    assert rest.refusal("GET", "/flags/1") == (404, "flag 1 not found")
    assert rest.get("/flags") == []
    assert rest.get("/flags?deleted=true&preload=true") == [flag]
    assert rest.put("/flags/1/restore") == {**flag, "snapshotID": 3}
    assert rest.get("/flags?deleted=true") == []


@pytest.mark.parametrize("deleted_before", [False, True], ids=["live", "deleted"])
def test_a_flag_deleted_for_good_is_unknown_and_its_key_free(rest: Rest, deleted_before: bool) -> None:
    rest.flag("a")
    if deleted_before:
        rest.delete("/flags/1")

    rest.delete("/flags/1/permanent")

    assert rest.refusal("PUT", "/flags/1/restore") == (404, "flag 1 not found")
    assert rest.refusal("DELETE", "/flags/1/permanent") == (404, "flag 1 not found")
    assert rest.flag("a")["id"] == 2


def test_a_duplicate_is_a_disabled_copy_with_ids_of_its_own(rest: Rest) -> None:
    original = rest.flag("a", template="simple_boolean_flag")
    rest.put("/flags/1/enabled", {"enabled": True})

    copy = rest.post("/flags/1/duplicate", {"key": "b", "description": "copy"})
    generated = rest.post("/flags/1/duplicate", {})

    assert (copy["id"], copy["key"], copy["description"], copy["enabled"]) == (2, "b", "copy", False)
    assert (
        copy["segments"][0]["distributions"][0] | {"id": 1, "segmentID": 1, "variantID": 1}
        == (original["segments"][0]["distributions"][0])
    )
    assert copy["segments"][0]["distributions"][0]["variantID"] == copy["variants"][0]["id"] == 2
    assert generated["key"].startswith("k")


@pytest.fixture
def listed(rest: Rest) -> Rest:
    rest.flag("a", description="New checkout")
    rest.flag("b", description="old checkout", template="simple_boolean_flag")
    rest.flag("c", description="c")
    rest.put("/flags/2/enabled", {"enabled": True})
    rest.post("/flags/1/tags", {"value": "x"})
    rest.post("/flags/3/tags", {"value": "y"})
    return rest


@pytest.mark.parametrize(
    ("query", "expected", "total"),
    [
        ("", [3, 2, 1], 3),
        ("limit=2", [3, 2], 3),
        ("limit=2&offset=2", [1], 3),
        ("offset=1", [2, 1], 3),
        ("limit=0", [], 3),
        ("limit=x&offset=-1", [3, 2, 1], 3),
        ("enabled=TRUE", [2], 1),
        ("enabled=false", [3, 1], 2),
        ("enabled=yes", [3, 1], 2),
        ("description=c", [3], 1),
        ("description=checkout", [], 0),
        ("descriptionLike=CHECK", [2, 1], 2),
        ("key=a", [1], 1),
        ("key=A", [], 0),
        ("tags=x", [1], 1),
        ("tags=x,y", [3, 1], 2),
        ("tags=x,nothing", [1], 1),
        ("tags=nothing", [], 0),
        ("deleted=false&limit=100&offset=0&preload=true", [3, 2, 1], 3),
        ("deleted=true", [], 0),
        ("environmentId=7&projectId=1", [3, 2, 1], 3),
    ],
)
def test_the_list_filters_and_pages_and_counts(listed: Rest, query: str, expected: list[int], total: int) -> None:
    answer = listed.ask("GET", f"/flags?{query}")

    assert [flag["id"] for flag in answer.json()] == expected
    assert answer.headers["x-total-count"] == str(total)


def test_parts_are_only_listed_when_they_are_asked_for(listed: Rest) -> None:
    short, preloaded = listed.get("/flags?key=b"), listed.get("/flags?key=b&preload=true")

    assert (short[0]["segments"], short[0]["variants"]) == ([], [])
    assert preloaded == [listed.get("/flags/2")]
    assert listed.get("/flags?key=a")[0]["tags"] == [{"id": 1, "value": "x"}]
