"""Rulesets: reasons, logs, odd arguments, and what is compiled anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flagent.core.changes import Change, EventType, Snapshot
from flagent.core.evaluation import Deciders, Reason, Ruleset
from flagent.core.layers import Layered
from flagent.core.model import Constraint, Distribution, Flag, Segment, Variant


def flag(flag_id: int = 1, key: str = "f", *, enabled: bool = True, value: str = "DE") -> Flag:
    constraint = Constraint("country", "EQ", value)
    closed = Segment(11, rank=0, constraints=(constraint,), distributions=(Distribution(21, 100),))
    everyone = Segment(12, rank=1, rollout_percent=0, distributions=(Distribution(21, 100),))
    variant = Variant(21, "on", attachment={"color": "blue"})
    return Flag(flag_id, key, enabled=enabled, snapshot_id=5, segments=(everyone, closed), variants=(variant,))


def rules(*flags: Flag) -> Ruleset:
    return Ruleset.compile(Snapshot.of("e", 1, flags))


def test_a_match_names_variant_segment_and_attachment() -> None:
    result = rules(flag()).evaluate("f", "u", {"country": "DE"})

    assert (result.reason, result.variant_key, result.variant_id, result.segment_id) == (Reason.MATCH, "on", 21, 11)
    assert result.is_enabled()
    assert (result.get_attachment_value("color"), result.get_attachment_value("size", 3)) == ("blue", 3)


@pytest.mark.parametrize(
    ("ruleset", "key", "reason", "message"),
    [
        (rules(), "f", Reason.FLAG_NOT_FOUND, "flagKey f not found or deleted"),
        (rules(flag(enabled=False)), "f", Reason.FLAG_DISABLED, "flagID 1 is not enabled"),
        (rules(Flag(1, "f", enabled=True)), "f", Reason.NO_SEGMENTS, "flagID 1 has no segments"),
        (rules(flag()), "f", Reason.NO_MATCH, ""),
    ],
)
def test_without_a_variant_the_reason_says_why(ruleset: Ruleset, key: str, reason: Reason, message: str) -> None:
    result = ruleset.evaluate(key, "u")

    assert (result.reason, result.message, result.variant_key, result.is_enabled()) == (reason, message, None, False)
    assert result.get_attachment_value("color", "none") == "none"


def test_debug_logs_say_what_each_segment_found() -> None:
    ruleset = rules(flag())

    assert [log.msg for log in ruleset.evaluate("f", "u", {"country": "DE"}, debug=True).debug_logs] == [
        "matched all constraints. rollout yes. variantID: 21"
    ]
    assert [(log.segment_id, log.msg) for log in ruleset.evaluate("f", "u", debug=True).debug_logs] == [
        (11, "segment_id 11 did not match constraints"),
        (12, "matched all constraints. rollout no."),
    ]


def test_a_flag_is_found_by_its_id_too() -> None:
    assert rules(flag(7, "f")).evaluate_id(7, "u", {"country": "DE"}).variant_key == "on"
    assert rules().evaluate_id(7, "u").reason is Reason.FLAG_NOT_FOUND


def test_all_flags_are_evaluated_at_once() -> None:
    results = rules(flag(1, "a"), flag(2, "b", enabled=False)).evaluate_all("u", {"country": "DE"})

    assert {key: result.variant_key for key, result in results.items()} == {"a": "on", "b": None}


class Hostile(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")

    def __len__(self) -> int:
        raise RuntimeError("no")


@pytest.mark.parametrize("context", [Hostile(), 7, "text", [1], object()])
def test_a_context_that_cannot_be_read_is_an_error_result(context: Any) -> None:
    result = rules(flag()).evaluate("f", "u", context)

    assert (result.reason, result.variant_key) == (Reason.ERROR, None)
    assert type(context).__name__ in result.message


@pytest.mark.parametrize(
    ("entity_id", "counts_as"),
    [
        (7, "7"),
        (1.0, "1"),
        (True, "true"),
        (None, ""),
        (b"abc", "abc"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_an_entity_id_of_another_type_counts_by_its_text(entity_id: Any, counts_as: str) -> None:
    assert rules(flag()).evaluate("f", entity_id).entity_id == counts_as


@pytest.mark.parametrize("key", [None, 7, ["f"], {}])
def test_a_key_that_is_no_text_is_not_found(key: Any) -> None:
    assert rules(flag()).evaluate(key, "u").reason is Reason.FLAG_NOT_FOUND
    assert rules(flag()).evaluate_id(key, "u").reason in (Reason.FLAG_NOT_FOUND, Reason.NO_MATCH)


def test_nobody_without_an_id_gets_a_variant() -> None:
    assert rules(flag()).evaluate("f", "", {"country": "DE"}).reason is Reason.NO_MATCH


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(entity_id=anything, context=st.dictionaries(st.sampled_from(["country", "x"]), anything) | anything)
def test_evaluation_never_raises_and_debug_changes_no_answer(entity_id: Any, context: Any) -> None:
    ruleset = rules(flag())

    plain = ruleset.evaluate("f", entity_id, context)
    debug = ruleset.evaluate("f", entity_id, context, debug=True)

    assert (plain.reason, plain.variant_id, plain.segment_id) == (debug.reason, debug.variant_id, debug.segment_id)


def updated(after: Flag, revision: int = 2, previous_key: str | None = None) -> Change:
    return Change(revision, EventType.FLAG_UPDATED, after.id, after.key, after, previous_key=previous_key)


def test_after_a_change_only_the_changed_flag_is_compiled_anew() -> None:
    before = rules(flag(1, "a"), flag(2, "b"))
    before.evaluate_all("u")
    compiled = dict(before.deciders.made)

    after = before.after(updated(flag(1, "a", value="FR")), verify=False)
    after.evaluate_all("u")

    assert after.deciders.made["b"] is compiled["b"]
    assert after.deciders.made["a"] is not compiled["a"]
    assert after.evaluate("a", "u", {"country": "FR"}).variant_key == "on"
    assert before.evaluate("a", "u", {"country": "FR"}).variant_key is None


def test_a_renamed_or_deleted_flag_is_forgotten() -> None:
    before = rules(flag(1, "a"))
    before.evaluate("a", "u")

    renamed = before.after(updated(flag(1, "z"), previous_key="a"), verify=False)
    gone = renamed.after(Change(3, EventType.FLAG_DELETED, 1, "z", None), verify=False)

    assert renamed.evaluate("a", "u").reason is Reason.FLAG_NOT_FOUND
    assert gone.evaluate("z", "u").reason is Reason.FLAG_NOT_FOUND
    assert gone.deciders.made == {}


_CONTENTS = st.dictionaries(st.sampled_from("abcde"), st.sampled_from(("DE", "FR")))


@given(
    _CONTENTS,
    st.lists(st.tuples(_CONTENTS, st.booleans(), st.sampled_from(("whole", "layered", "same")))),
    st.lists(st.sampled_from("abcde")),
)
def test_a_whole_snapshot_keeps_what_is_the_same_and_nothing_else(
    first: dict[str, str], others: list[tuple[dict[str, str], bool, str]], asked: list[str]
) -> None:
    def made(contents: dict[str, str]) -> list[Flag]:
        return [flag(ord(key), key, value=value) for key, value in contents.items()]

    held = rules(*made(first))
    for number, (contents, ordered, form) in enumerate(others, start=2):
        for key in asked:
            held.evaluate(key, "u")
        before, compiled = held.snapshot, dict(held.deciders.made)
        if form == "same":
            # As a reader of exports gives it: what is known is the same object, in the same place.
            known = {key: value for key, value in contents.items() if key in before.flags}
            flags = {key: before.flags[key] for key in before.flags}
            flags.update({each.key: each for each in made(known)})
            following = Snapshot.of("e", number, flags.values())
        else:
            chosen = sorted(made(contents), key=lambda each: each.key) if ordered else made(contents)
            following = Snapshot.of("e", number, chosen)
        if form == "layered":
            following = replace(following, flags=Layered.of(following.flags))
        expected = dict(following.flags)

        held = held.replaced(following)

        assert dict(held.snapshot.flags) == expected
        same = {key for key in before.flags.keys() & expected.keys() if before.flags[key] == expected[key]}
        assert all(held.snapshot.flags[key] is before.flags[key] for key in same)
        assert held.deciders.made == {key: each for key, each in compiled.items() if key in same}


def test_what_was_made_for_a_flag_that_is_gone_does_not_stay() -> None:
    before = rules(flag(1, "a"), flag(2, "b"))
    before.evaluate_all("u")
    after = before.replaced(Snapshot.of("e", 2, [flag(2, "b")]))
    # Somebody is still at it.
    before.evaluate_all("v")
    rules_of_before = Ruleset(
        before.snapshot, Deciders(before.snapshot.flags, before.deciders.absent, after.deciders.made)
    )
    rules_of_before.evaluate("a", "u")
    assert set(after.deciders.made) == {"a", "b"}

    later = after.replaced(Snapshot.of("e", 3, [flag(2, "b")]))

    assert set(later.deciders.made) == {"b"}


def test_a_whole_snapshot_keeps_what_is_the_same() -> None:
    before = rules(flag(1, "a"), flag(2, "b"))
    before.evaluate_all("u")
    compiled = dict(before.deciders.made)

    after = before.replaced(Snapshot.of("e", 9, [flag(1, "a"), flag(2, "b", value="FR"), flag(3, "c")]))
    after.evaluate_all("u")

    assert after.deciders.made["a"] is compiled["a"]
    assert after.deciders.made["b"] is not compiled["b"]
    assert set(after.snapshot.flags) == {"a", "b", "c"}
