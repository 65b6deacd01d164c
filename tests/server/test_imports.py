"""GitOps export and import over HTTP."""

import json
from typing import Any

import pytest
import yaml
from rest import Rest

DOCUMENT = """
version: "1"
flags:
  - key: checkout
    description: new checkout
    enabled: true
    segments:
      - rank: 1
        description: everybody
        distributions:
          - {variantKey: on, percent: 90}
          - {variantKey: off, percent: 10}
      - rank: 0
        description: NZ
        constraints:
          - {property: country, operator: EQ, value: NZ}
        distributions:
          - {variantKey: on, percent: 100}
    variants:
      - key: on
        attachment: {color: blue}
      - key: off
    tags: [team-a, prod]
  - key: search
"""


def import_text(rest: Rest, content: str, form: str | None = "yaml", query: str = "") -> Any:
    return rest.post(f"/import{query}", {"format": form, "content": content})


def import_flags(rest: Rest, *flags: dict[str, Any], query: str = "") -> Any:
    return import_text(rest, json.dumps({"flags": flags}), None, query)


def exported(rest: Rest, form: str) -> str:
    answer = rest.ask("GET", f"/export/gitops?format={form}")
    assert answer.status_code == 200
    return answer.text


def test_an_import_creates_the_flags_of_the_document(rest: Rest) -> None:
    result = import_text(rest, DOCUMENT)

    assert result == {"created": 2, "updated": 0, "errors": []}
    flag = rest.get("/flags/1")
    assert (flag["key"], flag["description"], flag["enabled"]) == ("checkout", "new checkout", True)
    assert [(each["rank"], each["description"]) for each in flag["segments"]] == [(0, "NZ"), (1, "everybody")]
    assert [each["value"] for each in flag["tags"]] == ["team-a", "prod"]
    assert rest.get("/flags/2")["key"] == "search"


def test_an_import_is_one_event_for_each_flag_that_changed(rest: Rest) -> None:
    import_text(rest, DOCUMENT)
    before = rest.revision()

    result = import_text(rest, DOCUMENT.replace("key: search", "key: search\n    enabled: true") + "  - key: third\n")

    assert result == {"created": 1, "updated": 1, "errors": []}
    assert [(change.type, change.flag_key) for change in rest.changes(before)] == [
        ("flag.updated", "search"),
        ("flag.created", "third"),
    ]


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_importing_the_own_export_changes_nothing(rest: Rest, form: str) -> None:
    import_text(rest, DOCUMENT)
    before = rest.revision()

    result = import_text(rest, exported(rest, form), form)

    assert result == {"created": 0, "updated": 0, "errors": []}
    assert rest.revision() == before


def test_the_export_is_the_same_in_both_forms_and_has_disabled_flags(rest: Rest) -> None:
    import_text(rest, DOCUMENT)

    document = json.loads(exported(rest, "json"))

    assert [(flag["key"], flag["enabled"]) for flag in document["flags"]] == [("checkout", True), ("search", False)]
    assert document["flags"][0]["variants"] == [{"key": "on", "attachment": {"color": "blue"}}, {"key": "off"}]
    assert yaml.safe_load(exported(rest, "yaml")) == document


@pytest.mark.parametrize(
    ("query", "content_type"),
    [
        pytest.param("", "application/json", id="default"),
        pytest.param("?format=JSON", "application/json", id="json"),
        pytest.param("?format=yaml", "text/yaml; charset=utf-8", id="yaml"),
        pytest.param("?format=yml", "text/yaml; charset=utf-8", id="yml"),
    ],
)
def test_the_export_says_what_it_is(shared_rest: Rest, query: str, content_type: str) -> None:
    answer = shared_rest.ask("GET", f"/export/gitops{query}")

    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)


def test_an_unknown_format_of_the_export_is_refused(shared_rest: Rest) -> None:
    assert shared_rest.refusal("GET", "/export/gitops?format=xml") == (
        400,
        "format: 'xml' is neither 'json' nor 'yaml'",
    )


def test_a_dry_run_says_what_would_happen_and_writes_nothing(rest: Rest) -> None:
    import_text(rest, DOCUMENT)
    before = rest.revision()

    result = import_flags(rest, {"key": "search", "notes": "n"}, {"key": "new"}, query="?dryRun=true")

    assert result == {
        "created": 1,
        "updated": 1,
        "errors": [],
        "changes": [
            {"key": "new", "type": "flag.created", "members": []},
            {"key": "search", "type": "flag.updated", "members": ["notes"]},
        ],
    }
    assert rest.revision() == before
    assert import_flags(rest, {"key": "search", "notes": "n"}, {"key": "new"})["created"] == 1


@pytest.mark.parametrize(
    ("form", "content", "error"),
    [
        pytest.param("json", "{", "Parse error: ", id="bad-json"),
        pytest.param("yaml", "a: [", "Parse error: ", id="bad-yaml"),
        pytest.param("yaml", "a: &a [1]\nflags: [*a]", "Parse error: line 2, column 9: alias *a", id="alias"),
        pytest.param("yaml", "!!python/object/apply:os.system [x]", "Parse error: line 1, column 1: tag", id="tag"),
        pytest.param("json", "[" * 100_000, "Parse error: nested deeper", id="deep-json"),
        pytest.param("yaml", "[" * 900, "Parse error: line 1, column 49: nested deeper", id="deep-yaml"),
        pytest.param("yaml", "[" * 100_000, "Parse error: line 1, column ", id="far-too-deep-yaml"),
        pytest.param("xml", "<flags/>", "Unsupported format: xml. Use yaml or json.", id="unknown-format"),
        pytest.param("json", "[]", "the document must be an object", id="no-object"),
        pytest.param("json", '{"flags": [{"key": "a", "enabled": 3}]}', "a: Expected `bool`, got `int`", id="type"),
        pytest.param("json", '{"flags": [{"key": "\\u00fc"}]}', "ü: key: 'ü' may only contain", id="rule"),
    ],
)
def test_what_can_not_be_imported_is_answered_with_an_error_and_nothing_is_written(
    shared_rest: Rest, form: str, content: str, error: str
) -> None:
    before = shared_rest.revision()

    result = import_text(shared_rest, content, form)

    assert (result["created"], result["updated"]) == (0, 0)
    assert len(result["errors"]) == 1
    assert result["errors"][0].startswith(error)
    assert shared_rest.revision() == before


def test_one_wrong_flag_keeps_all_others_out_and_every_error_is_listed(rest: Rest) -> None:
    wrong = {"key": "b", "segments": [{"distributions": [{"variantKey": "on", "percent": 50}]}]}

    result = import_flags(rest, {"key": "a"}, wrong)

    assert result == {
        "created": 0,
        "updated": 0,
        "errors": [
            "b: segments[0].distributions[0].variantKey: the flag has no variant 'on'",
            "b: segments[0].distributions: the percents sum to 50, not 100",
        ],
    }
    assert rest.get("/flags") == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="absent"),
        pytest.param({"content": None, "format": None}, id="null"),
        pytest.param({"content": " \n"}, id="blank"),
    ],
)
def test_an_import_needs_content(shared_rest: Rest, body: dict[str, Any]) -> None:
    assert shared_rest.refusal("POST", "/import", body) == (400, "content is required")


def test_an_import_whose_body_is_no_json_is_refused(shared_rest: Rest) -> None:
    assert shared_rest.refusal("POST", "/import", b"flags: []")[0] == 400


def test_an_import_can_not_take_the_key_of_a_deleted_flag(rest: Rest) -> None:
    rest.delete(f"/flags/{rest.flag('gone')['id']}")

    result = import_flags(rest, {"key": "gone"})

    assert result["errors"] == ["gone: a deleted flag has this key; restore it or delete it for good"]


def test_a_tag_that_is_attached_to_no_flag_any_more_keeps_its_id(rest: Rest) -> None:
    flag = rest.flag("a")
    tag = rest.post(f"/flags/{flag['id']}/tags", {"value": "team-a"})
    rest.delete(f"/flags/{flag['id']}/tags/{tag['id']}")

    import_flags(rest, {"key": "b", "tags": ["team-a"]})

    assert rest.get("/flags/2")["tags"] == [tag]


def test_a_file_of_openflagr_is_imported_with_its_ids_and_its_rollout(rest: Rest) -> None:
    flag = {
        "ID": 12,
        "Key": "old",
        "Enabled": True,
        "Variants": [{"ID": 3, "Key": "on", "Attachment": {}}],
        "Segments": [
            {
                "ID": 4,
                "RolloutPercent": 50,
                "Constraints": [{"Property": "country", "Operator": "IN", "Value": '["US", "CA"]'}],
                "Distributions": [{"VariantID": 3, "VariantKey": "on", "Percent": 100}],
            }
        ],
    }

    result = import_text(rest, json.dumps({"Flags": [flag]}), "json")

    assert result == {"created": 1, "updated": 0, "errors": []}
    imported = rest.get("/flags/12?view=full")
    assert (imported["key"], imported["rollout"]) == ("old", "proportional")
    assert imported["segments"][0]["constraints"][0]["value"] == "US,CA"


def test_an_imported_flag_is_evaluated(rest: Rest) -> None:
    import_text(rest, DOCUMENT)

    result = rest.post("/evaluation", {"flagKey": "checkout", "entityID": "u1", "entityContext": {"country": "NZ"}})

    assert (result["variantKey"], result["variantAttachment"]) == ("on", {"color": "blue"})
