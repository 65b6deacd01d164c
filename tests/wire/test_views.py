"""Flags and exports as JSON: who may see what, and that nothing gets lost."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from flag_strategies import flag_sets
from hypothesis import given
from hypothesis import strategies as st

from flagent.core.bucketing import sliced
from flagent.core.changes import Cursor, Delta, FlagRef, Snapshot
from flagent.core.model import PROPORTIONAL, Constraint, Distribution, Flag, Segment, Tag, Variant
from flagent.errors import DecodeError
from flagent.wire.codec import (
    View,
    decode_delta,
    decode_event,
    decode_snapshot,
    encode_delta,
    encode_flag,
    encode_flags,
)
from flagent.wire.codec import encode_snapshot as encode

FLAG_MEMBERS = [
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
]
SEGMENT_MEMBERS = ["id", "rank", "rolloutPercent", "description", "flagID", "constraints", "distributions"]
PART_MEMBERS = {
    "segments": SEGMENT_MEMBERS,
    "variants": ["id", "key", "flagID", "attachment"],
    "tags": ["id", "value"],
}
INNER_MEMBERS = {
    "constraints": ["property", "operator", "value", "id", "segmentID"],
    "distributions": ["variantID", "percent", "variantKey", "id", "segmentID"],
}
CHECKOUT = Flag(
    id=7,
    key="checkout",
    description="new checkout",
    enabled=True,
    snapshot_id=12,
    segments=(
        Segment(
            1,
            rank=2,
            rollout_percent=50,
            description="NZ",
            flag_id=7,
            constraints=(Constraint("country", "EQ", "NZ", 3, 1),),
            distributions=(Distribution(5, 40, "on", 4, 1), Distribution(6, 60, "off", 8, 1)),
        ),
    ),
    variants=(Variant(5, "on", 7, {"color": {"r": [1, None]}}), Variant(6, "off", 7)),
    tags=(Tag(2, "team-a"),),
    revision=12,
    updated_at="2026-01-02T03:04:05.678Z",
    client_visible=True,
)


def exported(*flags: Flag) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(encode(Snapshot.of("e", 12, flags), View.COMPATIBLE))
    return document


def test_the_compatible_view_has_exactly_the_members_that_flagents_clients_know() -> None:
    members = json.loads(encode_flag(CHECKOUT, View.COMPATIBLE))

    assert sorted(members) == sorted(FLAG_MEMBERS)
    assert {name: sorted(members[name][0]) for name in PART_MEMBERS} == {
        name: sorted(names) for name, names in PART_MEMBERS.items()
    }
    assert {name: sorted(members["segments"][0][name][0]) for name in INNER_MEMBERS} == {
        name: sorted(names) for name, names in INNER_MEMBERS.items()
    }


def test_rest_shows_nulls_and_empty_lists() -> None:
    members = json.loads(encode_flag(Flag(1, "a"), View.COMPATIBLE))

    assert [members[name] for name in ("entityType", "notes", "createdBy", "updatedBy")] == [None] * 4
    assert [members[name] for name in ("segments", "variants", "tags")] == [[], [], []]


def test_rest_shows_the_percents_of_a_proportional_flag_as_they_were_set() -> None:
    flag = msgspec.structs.replace(CHECKOUT, rollout=PROPORTIONAL)

    (members,) = json.loads(encode_flags([flag], View.COMPATIBLE))

    assert [share["percent"] for share in members["segments"][0]["distributions"]] == [40, 60]


@given(flag_sets())
def test_the_full_view_gives_every_flag_back(flags: list[Flag]) -> None:
    assert msgspec.json.decode(encode_flags(flags, View.FULL), type=list[Flag]) == flags
    assert [msgspec.json.decode(encode_flag(flag, View.FULL), type=Flag) for flag in flags] == flags


@given(flag_sets())
def test_a_flag_is_shown_in_a_list_as_it_is_alone(flags: list[Flag]) -> None:
    alone = [json.loads(encode_flag(flag, View.COMPATIBLE)) for flag in flags]

    assert json.loads(encode_flags(flags, View.COMPATIBLE)) == alone


@given(flag_sets(), st.integers(0, 2**62))
def test_a_snapshot_in_full_view_comes_back_as_it_was(flags: list[Flag], revision: int) -> None:
    snapshot = Snapshot.of("epoch", revision, flags)

    assert decode_snapshot(encode(snapshot, View.FULL)) == snapshot


@pytest.mark.covers("F46", "I4")
@given(flag_sets(), st.sampled_from(View), st.data())
def test_a_snapshot_that_was_cut_is_refused_wherever_that_was(
    flags: list[Flag], view: View, data: st.DataObject
) -> None:
    whole = encode(Snapshot.of("e", 7, flags), view)

    with pytest.raises(DecodeError):
        decode_snapshot(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.covers("F37")
@pytest.mark.parametrize("inner", [(b'{"a":', b"}"), (b"[", b"]")], ids=["objects", "arrays"])
@pytest.mark.parametrize("depth", [101, 500, 960, 980, 990, 5000])
def test_an_attachment_that_is_nested_too_deeply_is_refused_before_anything_is_done_with_it(
    depth: int, inner: tuple[bytes, bytes]
) -> None:
    nested = b'{"b":2,"a":' + inner[0] * (depth - 1) + b"1" + inner[1] * (depth - 1) + b"}"
    flag = b'{"id":1,"key":"a","variants":[{"id":1,"key":"v","attachment":' + nested + b"}]}"
    event = b'{"type":"flag.updated","flagID":1,"flagKey":"a","revision":"e:2","digest":"0","flag":' + flag + b"}"

    with pytest.raises(DecodeError):
        decode_snapshot(b'{"revision":"e:1","flags":[' + flag + b"]}")
    with pytest.raises(DecodeError):
        decode_delta(b'{"from":"e:1","revision":"e:2","flags":[' + flag + b"]}")
    with pytest.raises(DecodeError):
        decode_event("flag.updated", event)


def test_an_attachment_of_a_hundred_levels_is_read() -> None:
    body = (
        b'{"flags":[{"id":1,"key":"a","variants":[{"id":1,"key":"v","attachment":' + b'{"a":' * 100 + b"1" + b"}" * 100
    )

    assert decode_snapshot(body + b"}]}]}").flags["a"].variants[0].attachment


@pytest.mark.covers("F47")
def test_an_empty_snapshot_comes_back_as_it_was() -> None:
    snapshot = Snapshot.of("e", 0, ())

    assert decode_snapshot(encode(snapshot, View.FULL)) == snapshot
    assert decode_snapshot(encode(snapshot, View.COMPATIBLE)).flags == {}


def test_the_export_has_revision_and_flags_and_nothing_else() -> None:
    assert sorted(exported(CHECKOUT)) == ["flags", "revision"]
    assert exported(CHECKOUT)["revision"] == "e:12"


def test_the_export_leaves_disabled_flags_out() -> None:
    assert [flag["key"] for flag in exported(CHECKOUT, Flag(8, "off"))["flags"]] == ["checkout"]


def test_the_export_leaves_empty_texts_out_and_shows_the_others() -> None:
    (flag,) = exported(msgspec.structs.replace(CHECKOUT, notes="n", entity_type=""))["flags"]

    assert flag["notes"] == "n"
    assert not {"entityType", "createdBy", "updatedBy"} & set(flag)


def test_the_export_spells_each_id_in_both_ways() -> None:
    (flag,) = exported(CHECKOUT)["flags"]
    (segment,) = flag["segments"]
    distribution = segment["distributions"][0]

    assert (flag["snapshotID"], flag["snapshotId"]) == (12, 12)
    assert [(part["flagID"], part["flagId"]) for part in (segment, *flag["variants"])] == [(7, 7)] * 3
    assert [(part["segmentID"], part["segmentId"]) for part in (*segment["constraints"], distribution)] == [(1, 1)] * 2
    assert (distribution["variantID"], distribution["variantId"]) == (5, 5)


def test_the_export_cuts_a_proportional_flag_into_slices() -> None:
    flag = msgspec.structs.replace(CHECKOUT, rollout=PROPORTIONAL)
    expected = sliced(flag).segments[0]

    (segment,) = exported(flag)["flags"][0]["segments"]

    assert segment["rolloutPercent"] == 100
    assert [(share["variantID"], share["percent"]) for share in segment["distributions"]] == [
        (share.variant_id, share.percent) for share in expected.distributions
    ]


@given(flag_sets())
def test_the_export_can_be_read_by_ourselves(flags: list[Flag]) -> None:
    snapshot = decode_snapshot(encode(Snapshot.of("e", 1, flags), View.COMPATIBLE))

    assert snapshot.cursor == Cursor("e", 1)
    assert set(snapshot.flags) == {flag.key for flag in flags if flag.enabled}


def test_a_filtered_export_has_the_chosen_flags_and_no_digest() -> None:
    snapshot = Snapshot.of("e", 12, [CHECKOUT, Flag(8, "off")])

    body = encode(snapshot, View.FULL, [snapshot.flags["off"]])

    assert json.loads(body)["digest"] is None
    assert list(decode_snapshot(body).flags) == ["off"]


@given(flag_sets(), st.none() | st.integers(0, 2**64 - 1))
def test_a_delta_comes_back_as_it_was(flags: list[Flag], digest: int | None) -> None:
    delta = Delta(Cursor("e", 3), Cursor("e", 9), digest, tuple(flags), (FlagRef(99, "gone"),))

    assert decode_delta(encode_delta(delta)) == delta


def test_a_delta_has_the_members_of_the_protocol() -> None:
    delta = Delta(Cursor("e", 3), Cursor("e", 9), 10, (), (FlagRef(99, "gone"),))

    assert json.loads(encode_delta(delta)) == {
        "from": "e:3",
        "revision": "e:9",
        "digest": "000000000000000a",
        "flags": [],
        "deleted": [{"id": 99, "key": "gone"}],
    }
