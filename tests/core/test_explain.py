"""The trace of an evaluation: it ends where the evaluation ends, and its ranges are those of the buckets."""

from __future__ import annotations

from typing import Any

import msgspec
from change_log import flag
from flag_strategies import TEXTS, flag_sets
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flagent.core.bucketing import place
from flagent.core.changes import Snapshot
from flagent.core.evaluation import Reason, Ruleset
from flagent.core.explain import Explanation, explain
from flagent.core.model import Constraint, Distribution, Flag, Segment, Variant

CONTEXTS = st.none() | st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers() | TEXTS | st.lists(TEXTS))


def ruleset(*flags: Flag) -> Ruleset:
    return Ruleset.compile(Snapshot.of("e", 7, flags))


@settings(max_examples=300)
@given(flag_sets(), st.text(max_size=4), CONTEXTS)
def test_it_is_the_evaluation_step_by_step(flags: list[Flag], entity_id: str, context: dict[str, Any] | None) -> None:
    rules = ruleset(*flags)
    for each in flags:
        found = explain(rules, each.key, entity_id, context)

        assert found.result == rules.evaluate(each.key, entity_id, context, debug=True)
        matched = [segment for segment in found.segments if segment.outcome == "matched"]
        assert [segment.segment_id for segment in matched] == (
            [] if found.result.segment_id is None else [found.result.segment_id]
        )
        for segment in found.segments:
            held = all(constraint.holds for constraint in segment.constraints)
            assert (segment.outcome == "constraints") <= (not held)
            assert (segment.outcome in ("matched", "rollout")) <= held
        reached = [segment.outcome != "not reached" for segment in found.segments]
        # Once one has decided, no other is asked.
        assert reached == sorted(reached, reverse=True)
        assert str(found)
        msgspec.json.encode(found)


@settings(max_examples=300)
@given(flag_sets())
def test_the_ranges_are_those_of_the_buckets(flags: list[Flag]) -> None:
    for each in flags:
        found = explain(ruleset(each), each.key, "u1")
        by_id = {segment.id: segment for segment in each.segments}
        for segment in found.segments:
            placed = {bucket: place(by_id[segment.segment_id], each.rollout, bucket) for bucket in range(1, 1001)}
            expected = {bucket: one.variant_id for bucket, one in placed.items() if one.variant_id is not None}
            shown: dict[int, int] = {}
            for one in segment.ranges:
                shown |= dict.fromkeys(range(one.first, one.last + 1), one.variant_id)
            assert shown == expected


def example(**members: Any) -> Flag:
    segment = Segment(
        id=4,
        rank=0,
        rollout_percent=60,
        description="beta testers",
        flag_id=1,
        constraints=(Constraint("country", "EQ", "DE", 1, 4), Constraint("age", "GT", "17", 2, 4)),
        distributions=(Distribution(9, 100, "on", 1, 4),),
    )
    return replace(flag(1, "a"), segments=(segment,), variants=(Variant(9, "on", 1, None),), **members)


def test_the_text_says_what_was_missing() -> None:
    found = explain(ruleset(example()), "a", "u1", {"country": "DE"})

    assert str(found).splitlines() == [
        "flag 'a' for entity 'u1' at e:7: no variant, NO_MATCH",
        "  the flag is switched on; bucket 533 of 1000, rollout threshold",
        "  segment 4 (beta testers), 60 %: a constraint does not hold",
        "    + country EQ 'DE': it is 'DE'",
        "    - age GT '17': it is missing",
        "    on: buckets 1 to 600",
    ]


def test_the_text_points_at_the_range_of_the_bucket() -> None:
    found = explain(ruleset(example()), "a", "u1", {"country": "DE", "age": 18})

    assert str(found).splitlines()[0] == "flag 'a' for entity 'u1' at e:7: variant 'on', MATCH"
    assert str(found).splitlines()[-1] == "    on: buckets 1 to 600 <-"


def test_a_flag_that_is_off_or_not_there() -> None:
    off = explain(ruleset(example(enabled=False)), "a", "u1")
    gone = explain(ruleset(), "a", "u1")

    assert [segment.outcome for segment in off.segments] == ["not reached"]
    assert (off.result.reason, "switched off" in str(off)) == (Reason.FLAG_DISABLED, True)
    assert gone == Explanation(ruleset().evaluate("a", "u1"), "e:7", False, None, None, ())
    assert "not found" in str(gone)


def test_it_never_raises() -> None:
    class Broken(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise RuntimeError("no")

    found = explain(ruleset(example()), "a", "u1", Broken(a=1))

    assert (found.result.reason, found.segments) == (Reason.ERROR, ())
