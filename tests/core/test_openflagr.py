"""openflagr's export file as a document."""

from typing import Any

import pytest

from flagent.core.documents import ConstraintItem, DistributionItem, Entry, FlagItem, SegmentItem, VariantItem
from flagent.core.openflagr import is_openflagr, read_openflagr

#: As openflagr writes it, gorm's dates included.
DATES = {"CreatedAt": "2018-10-05T23:10:25.234392-07:00", "UpdatedAt": "2019-04-15T23:02:08-07:00", "DeletedAt": None}
FLAG = {
    **DATES,
    "ID": 12,
    "Key": "kmmcd1nsd6",
    "Description": "demo",
    "CreatedBy": "",
    "UpdatedBy": "",
    "Enabled": True,
    "Segments": [
        {
            **DATES,
            "ID": 6,
            "FlagID": 12,
            "Description": "everyone",
            "Rank": 1,
            "RolloutPercent": 100,
            "Constraints": [],
            "Distributions": [
                {**DATES, "ID": 1, "SegmentID": 6, "VariantID": 3, "VariantKey": "renamed since", "Percent": 50},
                {**DATES, "ID": 2, "SegmentID": 6, "VariantID": 2, "VariantKey": "blue", "Percent": 50},
            ],
        },
        {
            **DATES,
            "ID": 9,
            "FlagID": 12,
            "Description": "local",
            "Rank": 0,
            "RolloutPercent": 10,
            "Constraints": [
                {**DATES, "ID": 3, "SegmentID": 9, "Property": "env", "Operator": "EQ", "Value": '"local"'},
                {**DATES, "ID": 4, "SegmentID": 9, "Property": "state", "Operator": "IN", "Value": '["CA", "NY"]'},
            ],
            "Distributions": [{**DATES, "ID": 7, "SegmentID": 9, "VariantID": 2, "VariantKey": "blue", "Percent": 100}],
        },
    ],
    "Variants": [
        {**DATES, "ID": 3, "FlagID": 12, "Key": "red", "Attachment": {}},
        {**DATES, "ID": 2, "FlagID": 12, "Key": "blue", "Attachment": {"color": "#00f"}},
    ],
    "Tags": [{**DATES, "ID": 1, "Value": "team-a", "Flags": None}],
    "SnapshotID": 69,
    "Notes": "",
    "DataRecordsEnabled": True,
    "EntityType": "",
}


def flag_with(**members: Any) -> dict[str, Any]:
    return {"Flags": [{"Key": "a", **members}]}


def test_a_file_of_openflagr_is_told_from_a_gitops_document() -> None:
    assert is_openflagr({"Flags": []})
    assert not is_openflagr({"flags": []})
    assert not is_openflagr([])


def test_a_flag_keeps_its_meaning_under_the_rollout_of_openflagr() -> None:
    document = read_openflagr({"Flags": [FLAG]})

    assert document.errors == ()
    assert document.entries == (
        Entry(
            FlagItem(
                "kmmcd1nsd6",
                description="demo",
                enabled=True,
                data_records_enabled=True,
                rollout="proportional",
                segments=(
                    SegmentItem(
                        0,
                        "local",
                        10,
                        (ConstraintItem("env", "EQ", "local"), ConstraintItem("state", "IN", "CA,NY")),
                        (DistributionItem("blue", 100),),
                    ),
                    SegmentItem(1, "everyone", 100, (), (DistributionItem("red", 50), DistributionItem("blue", 50))),
                ),
                variants=(VariantItem("blue", {"color": "#00f"}), VariantItem("red", {})),
                tags=("team-a",),
            ),
            origin_id=12,
        ),
    )


def test_empty_lists_may_be_null_or_absent() -> None:
    document = read_openflagr(flag_with(Segments=None, Variants=None))

    assert (document.entries[0].item, document.errors) == (FlagItem("a", rollout="proportional"), ())


@pytest.mark.parametrize(
    ("value", "error"),
    [
        pytest.param({"Flags": {}}, "Flags: must be a list of flags", id="flags-no-list"),
        pytest.param({"Flags": [{"ID": 3}]}, "flags[0]: Object missing required field `Key`", id="no-key"),
        pytest.param(
            flag_with(Segments=[{"ID": 6, "Constraints": [{"Property": "p", "Operator": "CONTAINS", "Value": '"x"'}]}]),
            'a: segment 6: p CONTAINS "x": openflagr looks for an equal element',
            id="constraint",
        ),
        pytest.param(
            flag_with(Segments=[{"ID": 6}, {"ID": 7}]),
            "a: segment 6: has no distribution; openflagr stops",
            id="no-distribution",
        ),
        pytest.param(
            flag_with(Segments=[{"Distributions": [{"VariantKey": "on", "Percent": 100}]}]),
            "a: segments[0].distributions[0].variantKey: the flag has no variant 'on'",
            id="unknown-variant",
        ),
    ],
)
def test_what_can_not_mean_the_same_is_refused(value: dict[str, Any], error: str) -> None:
    (found,) = read_openflagr(value).errors

    assert found.startswith(error)
