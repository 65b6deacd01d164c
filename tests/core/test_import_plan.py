"""What an import decides: which flags become others, and with which ids."""

from typing import Any

from msgspec.structs import replace

from flagent.core.changes import EventType, Snapshot
from flagent.core.documents import Document, Entry, FlagItem, export_document, read_document
from flagent.core.edits import stamp
from flagent.core.ids import Allocator, Ids
from flagent.core.import_plan import ImportPlan, plan_import
from flagent.core.model import PROPORTIONAL, Constraint, Distribution, Flag, Segment, Tag, Variant

USED = Ids(flag=50, segment=50, constraint=50, distribution=50, variant=50, tag=50)


def segment(segment_id: int, description: str, *, rank: int = 999, value: str = "x") -> Segment:
    constraint = Constraint("p", "EQ", value, segment_id + 10, segment_id)
    share = Distribution(4, 100, "on", segment_id + 20, segment_id)
    return Segment(segment_id, rank, 100, description, 1, (constraint,), (share,))


FLAG = Flag(
    id=1,
    key="a",
    enabled=True,
    snapshot_id=9,
    revision=9,
    created_by="eve",
    updated_by="eve",
    rollout=PROPORTIONAL,
    client_visible=True,
    updated_at="2026-01-02T03:04:05.000Z",
    segments=(segment(2, "first"), segment(3, "second")),
    variants=(Variant(4, "on", 1, {"a": 1, "b": [1.0]}), Variant(5, "off", 1)),
    tags=(Tag(6, "team-a"),),
)
SNAPSHOT = Snapshot.of("epoch", 9, [FLAG])


def wanted(**members: Any) -> Document:
    """Return the document of FLAG with some members replaced."""
    (item,) = export_document([FLAG])["flags"]
    return read_document({"flags": [item | members]})


def items(*segments: Segment) -> list[dict[str, Any]]:
    (item,) = export_document([replace(FLAG, segments=segments)])["flags"]
    found: list[dict[str, Any]] = item["segments"]
    return found


def planned(document: Document, **options: Any) -> ImportPlan:
    return plan_import(document, SNAPSHOT, Allocator(USED), **options)


def after(document: Document) -> Flag:
    """Return FLAG as an update by the document leaves it."""
    (edit,) = planned(document).edits
    assert edit.type is EventType.FLAG_UPDATED
    return edit.flag


def test_a_flag_that_is_not_there_is_created_with_new_ids() -> None:
    document = read_document(
        {
            "flags": [
                {
                    "key": "new",
                    "enabled": True,
                    "variants": [{"key": "on"}],
                    "segments": [
                        {
                            "rank": 0,
                            "constraints": [{"property": "p", "operator": "EQ", "value": "x"}],
                            "distributions": [{"variantKey": "on", "percent": 100}],
                        }
                    ],
                    "tags": ["team-a", "team-b"],
                }
            ]
        }
    )

    plan = planned(document, actor="adam")

    (edit,) = plan.edits
    assert edit.type is EventType.FLAG_CREATED
    assert edit.flag == Flag(
        id=51,
        key="new",
        enabled=True,
        created_by="adam",
        segments=(
            Segment(51, 0, 100, "", 51, (Constraint("p", "EQ", "x", 51, 51),), (Distribution(51, 100, "on", 51, 51),)),
        ),
        variants=(Variant(51, "on", 51),),
        tags=(Tag(6, "team-a"), Tag(51, "team-b")),
    )
    assert (plan.created, plan.updated, plan.unchanged) == (("new",), {}, ())


def test_a_tag_that_no_flag_carries_any_more_keeps_its_id() -> None:
    document = read_document({"flags": [{"key": "new", "tags": ["retired"]}]})

    (edit,) = planned(document, tags=[Tag(17, "retired")]).edits

    assert edit.flag.tags == (Tag(17, "retired"),)


def test_two_new_flags_share_a_new_tag() -> None:
    document = read_document({"flags": [{"key": "b", "tags": ["t"]}, {"key": "c", "tags": ["t", "t"]}]})

    first, second = planned(document).edits

    assert first.flag.tags == second.flag.tags == (Tag(51, "t"),)


def test_flags_that_the_document_does_not_name_stay_as_they_are() -> None:
    assert planned(read_document({"flags": []})) == ImportPlan()


def test_only_what_differs_is_updated_and_named() -> None:
    plan = planned(wanted(enabled=False, notes="why"))

    assert plan.updated == {"a": ("enabled", "notes")}
    assert plan.edits[0].flag == replace(FLAG, enabled=False, notes="why")


def test_a_document_states_the_whole_flag() -> None:
    flag = after(read_document({"flags": [{"key": "a", "enabled": True}]}))

    assert (flag.segments, flag.variants, flag.tags) == ((), (), ())


def test_a_document_of_flagent_leaves_members_alone_that_flagent_does_not_know() -> None:
    flag = after(read_document({"flags": [{"key": "a"}]}))

    assert (flag.rollout, flag.client_visible) == (PROPORTIONAL, True)


def test_the_order_of_members_in_an_attachment_is_no_change() -> None:
    variants = [{"key": "off"}, {"key": "on", "attachment": {"b": [1.0], "a": 1}}]

    assert planned(wanted(variants=variants)).edits == ()


def test_the_type_of_a_number_in_an_attachment_is_a_change() -> None:
    variants = [{"key": "on", "attachment": {"a": True, "b": [1.0]}}, {"key": "off"}]

    assert planned(wanted(variants=variants)).updated == {"a": ("variants",)}


def test_a_variant_keeps_its_id_when_its_attachment_changes() -> None:
    flag = after(wanted(variants=[{"key": "new"}, {"key": "on", "attachment": {}}]))

    assert flag.variants == (Variant(4, "on", 1, {}), Variant(51, "new", 1))


def test_a_segment_keeps_its_id_when_its_content_changes() -> None:
    flag = after(wanted(segments=items(segment(2, "first", value="y"), segment(3, "second"))))

    assert flag.segments == (segment(2, "first", value="y"), segment(3, "second"))


def test_segments_that_are_left_keep_their_ids_when_one_goes() -> None:
    assert after(wanted(segments=items(segment(3, "second")))).segments == (segment(3, "second"),)


def test_segments_keep_their_ids_when_their_ranks_are_exchanged() -> None:
    flag = after(wanted(segments=items(segment(3, "second", rank=0), segment(2, "first", rank=1))))

    assert flag.segments == (segment(3, "second", rank=0), segment(2, "first", rank=1))


def test_segments_of_one_rank_are_in_the_order_of_the_document() -> None:
    flag = after(wanted(segments=items(segment(3, "second"), segment(2, "first"))))

    assert [each.description for each in flag.segments] == ["second", "first"]
    assert [each.id for each in flag.segments] == [3, 51]


def test_a_segment_in_between_comes_to_stand_in_between() -> None:
    flag = after(wanted(segments=items(segment(2, "first"), segment(9, "between"), segment(3, "second"))))

    assert [each.description for each in flag.segments] == ["first", "between", "second"]
    assert [each.id for each in flag.segments] == sorted(each.id for each in flag.segments)


def test_a_distribution_keeps_its_id_when_its_percent_changes() -> None:
    halves = [{"variantKey": "off", "percent": 50}, {"variantKey": "on", "percent": 50}]
    first, second = items(*FLAG.segments)

    flag = after(wanted(segments=[first | {"distributions": halves}, second]))

    assert flag.segments[0].distributions == (Distribution(4, 50, "on", 22, 2), Distribution(5, 50, "off", 51, 2))


def test_constraints_that_are_left_keep_their_ids() -> None:
    conditions = (Constraint("p", "EQ", "x", 12, 2), Constraint("q", "EQ", "y", 13, 2))
    snapshot = Snapshot.of(
        "epoch", 9, [replace(FLAG, segments=(replace(segment(2, "first"), constraints=conditions),))]
    )
    document = wanted(segments=items(replace(segment(2, "first"), constraints=conditions[1:])))

    plan = plan_import(document, snapshot, Allocator(USED))

    assert plan.edits[0].flag.segments[0].constraints == conditions[1:]


def test_with_one_error_nothing_is_changed() -> None:
    document = read_document({"flags": [{"key": "a", "enabled": False}, {"key": "b", "rollout": "x"}]})

    plan = planned(document)

    assert plan == ImportPlan(errors=document.errors)
    assert len(plan.errors) == 1


def test_the_key_of_a_deleted_flag_can_not_be_taken() -> None:
    plan = planned(read_document({"flags": [{"key": "gone"}]}), deleted_keys={"gone"})

    assert plan == ImportPlan(errors=("gone: a deleted flag has this key; restore it or delete it for good",))


def test_a_created_flag_gets_the_id_of_its_origin_when_it_is_free() -> None:
    document = Document((Entry(FlagItem("late"), 60), Entry(FlagItem("early"), 53), Entry(FlagItem("used"), 7)))

    plan = planned(document)

    assert {edit.flag.key: edit.flag.id for edit in plan.edits} == {"used": 51, "early": 53, "late": 60}
    assert plan.created == ("late", "early", "used")


def test_an_origin_far_away_does_not_use_up_the_ids() -> None:
    (edit,) = planned(Document((Entry(FlagItem("far"), 2**31 - 1),))).edits

    assert edit.flag.id == 51


def test_the_changes_of_an_import_are_one_for_each_flag() -> None:
    document = read_document({"flags": [{"key": "a"}, {"key": "b", "variants": [{"key": "on"}]}]})

    changes, _ = stamp(SNAPSHOT, planned(document).edits, actor="eve", now_ms=0)

    assert [(change.type, change.flag_key) for change in changes] == [
        (EventType.FLAG_UPDATED, "a"),
        (EventType.FLAG_CREATED, "b"),
    ]
