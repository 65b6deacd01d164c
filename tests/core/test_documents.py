"""The GitOps document: export, reading, and what is refused."""

from operator import itemgetter
from typing import Any

import msgspec
import pytest
from flag_strategies import flag_sets
from hypothesis import example, given

from flagent.core.changes import Snapshot
from flagent.core.documents import FlagItem, SegmentItem, export_document, read_document
from flagent.core.ids import Allocator, Ids
from flagent.core.import_plan import plan_import
from flagent.core.model import Constraint, Distribution, Flag, Segment, Tag, Variant

EMPTY = Snapshot.of("epoch", 0, ())
#: Larger than any id that the strategies draw.
USED = Ids(flag=1000, segment=1000, constraint=1000, distribution=1000, variant=1000, tag=1000)
CHECKOUT = Flag(
    id=7,
    key="checkout",
    description="new checkout",
    enabled=True,
    notes="n",
    entity_type="user",
    segments=(
        Segment(
            1,
            rank=2,
            rollout_percent=50,
            description="NZ",
            flag_id=7,
            constraints=(Constraint("country", "EQ", "NZ", 3, 1),),
            distributions=(Distribution(5, 100, "on", 4, 1),),
        ),
    ),
    variants=(Variant(5, "on", 7, {"color": None}), Variant(6, "off", 7)),
    tags=(Tag(2, "team-a"),),
)
CHECKOUT_ITEM = {
    "key": "checkout",
    "description": "new checkout",
    "enabled": True,
    "notes": "n",
    "dataRecordsEnabled": False,
    "entityType": "user",
    "rollout": "threshold",
    "clientVisible": False,
    "segments": [
        {
            "rank": 2,
            "description": "NZ",
            "rolloutPercent": 50,
            "constraints": [{"property": "country", "operator": "EQ", "value": "NZ"}],
            "distributions": [{"variantKey": "on", "percent": 100}],
        }
    ],
    "variants": [{"key": "on", "attachment": {"color": None}}, {"key": "off"}],
    "tags": ["team-a"],
}


def document_of(**members: Any) -> dict[str, Any]:
    return {"version": "1", "flags": [{"key": "a", **members}]}


def segment_of(**members: Any) -> dict[str, Any]:
    return document_of(variants=[{"key": "on"}], segments=[members])


def without_ids(flag: Flag) -> Any:
    """Return the content of a flag: distributions name their variant by key, and tags have no order."""
    names = ("id", "flagID", "segmentID", "variantID", "snapshotID", "revision", "createdBy", "updatedBy", "updatedAt")

    def stripped(value: Any) -> Any:
        if isinstance(value, list):
            return [stripped(each) for each in value]
        if not isinstance(value, dict):
            return value
        return {
            name: each if name == "attachment" else stripped(each) for name, each in value.items() if name not in names
        }

    content = stripped(msgspec.json.decode(msgspec.json.encode(flag)))
    return content | {"tags": sorted(tag["value"] for tag in content["tags"])}


def test_the_export_has_every_member_and_leaves_out_what_is_none() -> None:
    assert export_document([CHECKOUT]) == {"version": "1", "flags": [CHECKOUT_ITEM]}


def test_the_export_is_ordered_by_id() -> None:
    document = export_document([Flag(id=3, key="c"), Flag(id=1, key="b"), Flag(id=2, key="a")])

    assert [flag["key"] for flag in document["flags"]] == ["b", "a", "c"]


@given(flag_sets())
def test_flags_imported_into_an_empty_set_are_equal_apart_from_their_ids(flags: list[Flag]) -> None:
    document = read_document(export_document(flags))

    plan = plan_import(document, EMPTY, Allocator(Ids()))

    assert [without_ids(edit.flag) for edit in plan.edits] == [without_ids(flag) for flag in flags]
    assert plan.errors == ()


@given(flag_sets())
def test_importing_the_own_export_changes_nothing(flags: list[Flag]) -> None:
    ids = Allocator(USED)

    plan = plan_import(read_document(export_document(flags)), Snapshot.of("epoch", 100, flags), ids)

    assert (plan.edits, plan.errors) == ((), ())
    assert plan.unchanged == tuple(flag.key for flag in flags)
    assert ids.ids == USED


def without_order(flag: Flag) -> Any:
    """Return the content of a flag whose variants were found again: they are in the order of their ids, old and new."""
    content = without_ids(flag)
    for segment in content["segments"]:
        segment["distributions"].sort(key=itemgetter("variantKey"))
    return content | {"variants": sorted(content["variants"], key=itemgetter("key"))}


@given(flag_sets(), flag_sets())
@example([Flag(1, "a", variants=(Variant(1, "y"),))], [Flag(1, "a", variants=(Variant(1, "x"), Variant(2, "y")))])
def test_an_import_leads_from_any_flags_to_those_of_the_document(before: list[Flag], after: list[Flag]) -> None:
    plan = plan_import(read_document(export_document(after)), Snapshot.of("epoch", 100, before), Allocator(USED))

    reached = {flag.key: flag for flag in before} | {edit.flag.key: edit.flag for edit in plan.edits}
    assert [without_order(reached[flag.key]) for flag in after] == [without_order(flag) for flag in after]


def test_absent_members_have_flagents_defaults() -> None:
    document = read_document({"flags": [{"key": "a", "segments": [{}]}]})

    assert document.errors == ()
    assert document.entries[0].item == FlagItem("a", segments=(SegmentItem(rank=999, rollout_percent=100),))


def test_null_is_as_good_as_absent_and_unknown_members_are_ignored() -> None:
    names = ("description", "enabled", "notes", "dataRecordsEnabled", "entityType", "segments", "variants", "tags")

    document = read_document(document_of(**dict.fromkeys(names), owner="me", rollout=None, clientVisible=None))

    assert (document.entries[0].item, document.errors) == (FlagItem("a"), ())


def test_nulls_inside_an_attachment_stay() -> None:
    document = read_document(document_of(variants=[{"key": "on", "attachment": {"a": None, "b": [1, None]}}]))

    assert document.entries[0].item.variants[0].attachment == {"a": None, "b": [1, None]}


def test_whole_numbers_and_booleans_are_taken_as_text_where_text_is_meant() -> None:
    constraints = [
        {"property": "age", "operator": "GT", "value": 18},
        {"property": "beta", "operator": "EQ", "value": True},
    ]

    document = read_document(
        {"version": 1, "flags": [{"key": 5, "tags": [7], "segments": [{"constraints": constraints}]}]}
    )

    item = document.entries[0].item
    assert document.errors == ()
    assert (item.key, item.tags, [each.value for each in item.segments[0].constraints]) == ("5", ("7",), ["18", "true"])


@pytest.mark.parametrize(
    ("value", "error"),
    [
        pytest.param([], "the document must be an object with the member 'flags'", id="no-object"),
        pytest.param(None, "the document must be an object with the member 'flags'", id="null"),
        pytest.param({}, "flags: must be a list of flags", id="no-flags"),
        pytest.param({"flags": {}}, "flags: must be a list of flags", id="flags-no-list"),
        pytest.param({"version": "2", "flags": []}, "version: '2' is not known, '1' is the only one", id="version"),
        pytest.param({"flags": [3]}, "flags[0]: Expected `object`, got `int`", id="flag-no-object"),
        pytest.param({"flags": [{"enabled": True}]}, "flags[0]: Object missing required field `key`", id="no-key"),
        pytest.param(document_of(enabled="yes"), "a: Expected `bool`, got `str` - at `$.enabled`", id="wrong-type"),
        pytest.param(
            segment_of(rolloutPercent=33.5),
            "a: Expected `int`, got `float` - at `$.segments[0].rolloutPercent`",
            id="fraction",
        ),
        pytest.param(
            segment_of(constraints=[{"property": "v", "operator": "EQ", "value": 1.1}]),
            "a: Expected `str`, got `float` - at `$.segments[0].constraints[0].value`",
            id="a-fraction-is-no-text",
        ),
        pytest.param(document_of(entityType="ü"), "a: entityType: 'ü' may only contain", id="entity-type"),
        pytest.param(document_of(rollout="x"), "a: rollout: 'x' is neither", id="rollout"),
        pytest.param(document_of(tags=["a", "ü"]), "a: tags[1].value: 'ü' may only contain", id="tag"),
        pytest.param(
            document_of(variants=[{"key": "ü"}]), "a: variants[0].key: 'ü' may only contain", id="variant-key"
        ),
        pytest.param(
            document_of(variants=[{"key": "on"}, {"key": "on"}]),
            "a: variants[1].key: 'on' is the key of",
            id="variant-twice",
        ),
        pytest.param(
            document_of(variants=[{"key": "on", "attachment": []}]),
            "a: Expected `object | null`, got `array`",
            id="attachment",
        ),
        pytest.param(segment_of(rank=-1), "a: segments[0].rank: -1 is not in 0..", id="rank"),
        pytest.param(
            segment_of(rolloutPercent=101), "a: segments[0].rolloutPercent: 101 is not in 0..100", id="rollout-101"
        ),
        pytest.param(
            segment_of(constraints=[{"property": "p", "operator": "EREG", "value": "("}]),
            "a: segments[0].constraints[0].value: '(' is no regular expression",
            id="pattern",
        ),
        pytest.param(
            segment_of(constraints=[{"property": "p", "operator": "eq", "value": "x"}]),
            "a: segments[0].constraints[0].operator: 'eq' is none of",
            id="operator",
        ),
        pytest.param(
            segment_of(distributions=[{"variantKey": "off", "percent": 100}]),
            "a: segments[0].distributions[0].variantKey: the flag has no variant 'off'",
            id="unknown-variant",
        ),
        pytest.param(
            segment_of(distributions=[{"variantKey": "on", "percent": 99}]),
            "a: segments[0].distributions: the percents sum to 99, not 100",
            id="sum",
        ),
        pytest.param(
            segment_of(distributions=[{"variantKey": "on", "percent": 50}] * 2),
            "a: segments[0].distributions[1].variantKey: variant 'on' is listed twice",
            id="variant-shared-twice",
        ),
        pytest.param({"flags": [{"key": "a"}, {"key": "a"}]}, "a: the document has this key twice", id="key-twice"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_key_and_place(value: Any, error: str) -> None:
    (found,) = read_document(value).errors

    assert found.startswith(error)


def test_all_errors_are_listed() -> None:
    value = {
        "flags": [{"key": "ü"}, {"key": "b", "tags": [""], "rollout": "x"}, {"key": "c", "enabled": 1}, {"key": "d"}]
    }

    document = read_document(value)

    assert [error.split(":")[0] for error in sorted(document.errors)] == ["b", "b", "c", "ü"]


def test_an_error_does_not_repeat_a_key_of_a_megabyte() -> None:
    (error,) = read_document({"flags": [{"key": "k" * 1_000_000}]}).errors

    assert len(error) < 300
