"""Edits of a flag as a whole, and how they become changes."""

import msgspec
import pytest
from msgspec.structs import replace

from flagent.core import edits
from flagent.core.changes import EventType, Snapshot
from flagent.core.edits import Edit, FlagPatch
from flagent.core.ids import Allocator, Ids
from flagent.core.model import Constraint, Distribution, Flag, Segment, Tag, Variant
from flagent.errors import InvalidFlag

EMPTY = Snapshot.of("epoch", 0, ())
FULL = Flag(
    id=3,
    key="checkout",
    description="new checkout",
    enabled=True,
    snapshot_id=9,
    revision=9,
    entity_type="user",
    notes="n",
    created_by="eve",
    segments=(
        Segment(
            4,
            rank=1,
            flag_id=3,
            constraints=(Constraint("country", "EQ", "NZ", 5, 4),),
            distributions=(Distribution(7, 100, "on", 6, 4),),
        ),
    ),
    variants=(Variant(7, "on", 3, {"color": "blue"}),),
    tags=(Tag(8, "team-a"),),
    rollout="proportional",
    client_visible=True,
)


def allocator() -> Allocator:
    return Allocator(Ids(flag=3, segment=4, constraint=5, distribution=6, variant=7, tag=8))


def test_a_new_flag_is_disabled_and_empty() -> None:
    edit = edits.create_flag(allocator(), key="a", description="d", actor="eve")

    assert edit == Edit(Flag(id=4, key="a", description="d", created_by="eve"), EventType.FLAG_CREATED)


def test_the_template_gives_everybody_the_variant_on() -> None:
    flag = edits.create_flag(allocator(), key="a", description="", template="simple_boolean_flag").flag

    assert flag.variants == (Variant(8, "on", 4),)
    assert flag.segments == (Segment(5, 0, 100, "", 4, (), (Distribution(8, 100, "on", 7, 5),)),)
    assert not flag.enabled


def test_an_unknown_template_is_refused() -> None:
    with pytest.raises(InvalidFlag, match="template: 'other'"):
        edits.create_flag(allocator(), key="a", description="", template="other")


def test_a_duplicate_has_new_ids_everywhere_and_is_disabled() -> None:
    edit = edits.duplicate_flag(FULL, allocator(), key="copy", actor="bob")

    assert edit.type is EventType.FLAG_CREATED
    assert edit.flag == replace(
        FULL,
        id=4,
        key="copy",
        enabled=False,
        created_by="bob",
        segments=(
            Segment(
                5,
                rank=1,
                flag_id=4,
                constraints=(Constraint("country", "EQ", "NZ", 6, 5),),
                distributions=(Distribution(8, 100, "on", 7, 5),),
            ),
        ),
        variants=(Variant(8, "on", 4, {"color": "blue"}),),
    )


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        (FlagPatch(), {}),
        (FlagPatch(key="b"), {"key": "b"}),
        (FlagPatch(description=""), {"description": ""}),
        (FlagPatch(enabled=False), {"enabled": False}),
        (FlagPatch(data_records_enabled=True), {"data_records_enabled": True}),
        (FlagPatch(entity_type="device"), {"entity_type": "device"}),
        (FlagPatch(entity_type=""), {"entity_type": None}),
        (FlagPatch(notes="m"), {"notes": "m"}),
        (FlagPatch(rollout="threshold"), {"rollout": "threshold"}),
        (FlagPatch(client_visible=False), {"client_visible": False}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_patch_sets_what_it_names_and_leaves_the_rest(patch: FlagPatch, expected: dict[str, object]) -> None:
    edit = edits.update_flag(FULL, patch)

    assert edit == Edit(replace(FULL, **expected), EventType.FLAG_UPDATED)


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (FlagPatch(key=""), "key: ''"),
        (FlagPatch(entity_type="a b"), "entityType: 'a b'"),
        (FlagPatch(rollout="random"), "rollout: 'random'"),
    ],
    ids=["key", "entityType", "rollout"],
)
def test_a_patch_with_a_bad_value_is_refused(patch: FlagPatch, message: str) -> None:
    with pytest.raises(InvalidFlag, match=message):
        edits.update_flag(FULL, patch)


@pytest.mark.parametrize(("enabled", "text"), [(True, "true"), (False, "false")])
def test_switching_tells_the_new_state_as_text(enabled: bool, text: str) -> None:
    edit = edits.enable_flag(FULL, enabled)

    assert edit == Edit(replace(FULL, enabled=enabled), EventType.FLAG_TOGGLED, {"enabled": text})


def test_a_tag_keeps_its_id_on_every_flag() -> None:
    edit = edits.attach_tag(FULL, "known", Tag(2, "known"), allocator())

    assert edit == Edit(replace(FULL, tags=(Tag(2, "known"), Tag(8, "team-a"))), EventType.FLAG_UPDATED)


def test_a_tag_that_nobody_has_gets_a_new_id() -> None:
    edit = edits.attach_tag(FULL, "new tag", None, allocator())

    assert edit.flag.tags == (Tag(8, "team-a"), Tag(9, "new tag"))


def test_attaching_a_tag_twice_or_detaching_one_that_is_not_there_leaves_the_flag_as_it_is() -> None:
    assert edits.attach_tag(FULL, "team-a", Tag(8, "team-a"), allocator()).flag == FULL
    assert edits.detach_tag(FULL, 77).flag == FULL
    assert edits.detach_tag(FULL, 8).flag.tags == ()


def test_changes_are_numbered_stamped_and_lead_to_the_digests_they_announce() -> None:
    first = edits.create_flag(allocator(), key="a", description="")
    second = edits.enable_flag(first.flag, enabled=True)

    changes, after = edits.stamp(EMPTY, [first, second], actor="eve", now_ms=1_767_323_045_678)

    assert [(change.revision, change.type) for change in changes] == [
        (1, EventType.FLAG_CREATED),
        (2, EventType.FLAG_TOGGLED),
    ]
    assert EMPTY.after(changes[0]).after(changes[1]) == after
    flag = after.flags["a"]
    assert (flag.enabled, flag.revision, flag.snapshot_id, flag.updated_by) == (True, 2, 2, "eve")
    assert flag.updated_at == "2026-01-02T03:04:05.678Z"


def test_a_new_key_is_announced_with_the_one_before() -> None:
    snapshot = Snapshot.of("epoch", 9, (FULL,))

    (change,), after = edits.stamp(snapshot, [edits.update_flag(FULL, FlagPatch(key="pay"))], actor=None, now_ms=0)

    assert (change.flag_key, change.previous_key) == ("pay", "checkout")
    assert set(after.flags) == {"pay"}


def test_a_deletion_carries_no_flag_and_says_when_it_is_for_good() -> None:
    snapshot = Snapshot.of("epoch", 9, (FULL,))

    (change,), after = edits.stamp(snapshot, [edits.delete_flag(FULL, permanent=True)], actor=None, now_ms=0)

    assert (change.type, change.flag, change.flag_key) == (EventType.FLAG_DELETED, None, "checkout")
    assert change.data == {"permanent": "true"}
    assert (after.flags, after.digest) == ({}, 0)
    assert edits.delete_flag(FULL).data == {}


def test_an_edit_that_changes_nothing_makes_no_change() -> None:
    snapshot = Snapshot.of("epoch", 9, (FULL,))

    changes, after = edits.stamp(snapshot, [edits.enable_flag(FULL, enabled=True)], actor=None, now_ms=0)

    assert changes == []
    assert after is snapshot


def test_one_and_true_are_different_values_of_an_attachment() -> None:
    before = replace(FULL, variants=(Variant(7, "on", 3, {"n": 1}),))
    edit = Edit(replace(FULL, variants=(Variant(7, "on", 3, {"n": True}),)), EventType.VARIANT_UPDATED)

    changes, _ = edits.stamp(Snapshot.of("epoch", 9, (before,)), [edit], actor=None, now_ms=0)

    assert len(changes) == 1


def test_edits_of_one_batch_see_what_those_before_them_did() -> None:
    made = edits.create_flag(allocator(), key="a", description="").flag

    changes, after = edits.stamp(
        EMPTY,
        [
            Edit(made, EventType.FLAG_CREATED),
            edits.update_flag(made, FlagPatch(key="b")),
            edits.delete_flag(replace(made, key="b")),
            edits.create_flag(Allocator(Ids(flag=10)), key="a", description=""),
        ],
        actor=None,
        now_ms=0,
    )

    replayed = EMPTY
    for change in changes:
        replayed = replayed.after(change)
    assert [change.previous_key for change in changes] == [None, "a", None, None]
    assert replayed == after
    assert after.keys == {11: "a"}


def test_a_restored_flag_comes_with_the_change() -> None:
    (change,), after = edits.stamp(EMPTY, [edits.restore_flag(FULL)], actor=None, now_ms=0)

    assert change.type is EventType.FLAG_UPDATED
    assert change.flag == after.flags["checkout"]


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
        (999, "1970-01-01T00:00:00.999Z"),
    ],
)
def test_times_always_have_three_decimals_and_a_zone(at_ms: int, text: str) -> None:
    assert edits.time_text(at_ms) == text


def test_a_flag_survives_storing_and_loading_to_the_byte() -> None:
    encoded = msgspec.json.encode(FULL)

    assert msgspec.json.encode(msgspec.json.decode(encoded, type=Flag)) == encoded
