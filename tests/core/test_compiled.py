"""Generated functions: that they agree with the interpreter on everything, and are few."""

from __future__ import annotations

from typing import Any

import pytest
from any_flags import contexts, entity_ids, flags, plain_contexts
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flagent.core import compiled
from flagent.core.bucketing import BUCKETS, place, placements
from flagent.core.changes import Snapshot
from flagent.core.compiled import decider
from flagent.core.evaluation import EvalResult, Ruleset
from flagent.core.interpreter import Interpreter
from flagent.core.model import Constraint, Distribution, Flag, Segment, Variant


def agrees(flag: Flag, entity_id: Any, context: Any) -> EvalResult:
    snapshot = Snapshot("e", 1, {flag.key: flag}, {flag.id: flag.key}, 0)
    result = Ruleset.compile(snapshot).evaluate(flag.key, entity_id, context)
    assert result == Interpreter(flag).evaluate(entity_id, context)
    return result


@settings(max_examples=600, deadline=None)
@given(flag=flags, entity_id=entity_ids, context=contexts)
def test_the_generated_function_agrees_with_the_interpreter_on_any_arguments(
    flag: Flag, entity_id: Any, context: Any
) -> None:
    agrees(flag, entity_id, context)


@settings(max_examples=200, deadline=None)
@given(flag=flags, context=plain_contexts)
def test_the_generated_function_agrees_with_the_interpreter_on_many_entities(flag: Flag, context: Any) -> None:
    decide, interpreter = decider(flag), Interpreter(flag)

    for number in range(40):
        entity_id = f"user-{number}"
        assert replace(decide(entity_id, context), entity_id=entity_id) == interpreter.evaluate(entity_id, context)


@settings(deadline=None)
@given(flag=flags)
def test_the_placements_of_a_segment_are_those_of_all_buckets(flag: Flag) -> None:
    for segment in flag.segments:
        runs, expected = iter(placements(segment, flag.rollout)), []
        last, placement = 0, None
        for bucket in range(1, BUCKETS + 1):
            if bucket > last:
                last, placement = next(runs)
            expected.append(placement)

        assert expected == [place(segment, flag.rollout, bucket) for bucket in range(1, BUCKETS + 1)]


def on_off(number: int, name: str = "country") -> Flag:
    return Flag(
        number,
        f"flag{number}",
        enabled=True,
        segments=(
            Segment(
                number,
                constraints=(Constraint(name, "EQ", f"value{number}"),),
                distributions=(Distribution(number, 100),),
            ),
        ),
        variants=(Variant(number, "on"),),
    )


def test_many_flags_of_one_shape_need_one_source() -> None:
    compiled._compiled.cache_clear()

    for number in range(1, 200):
        decider(on_off(number, f"property{number}"))

    assert compiled._compiled.cache_info().misses == 1


def test_a_flag_too_large_for_a_function_is_interpreted() -> None:
    segments = tuple(
        Segment(
            number, number, constraints=(Constraint("p", "IN", f"a{number},b"),), distributions=(Distribution(1, 50),)
        )
        for number in range(1, 700)
    )
    flag = Flag(1, "f", enabled=True, segments=segments, variants=(Variant(1, "on"),))

    assert type(decider(flag)) is compiled._Slow
    assert agrees(flag, "user1", {"p": "a650"}) == agrees(flag, "user1", {"p": "a650"})


@pytest.mark.parametrize("shares", [30, 100])
def test_a_split_into_many_parts_agrees_for_every_bucket(shares: int) -> None:
    parts = tuple(Distribution(number % 7, 100 // shares) for number in range(shares))
    flag = replace(on_off(1), segments=(Segment(1, rollout_percent=80, distributions=parts),))

    assert len({agrees(flag, f"user{number}", {}).variant_id for number in range(300)}) == 8


@given(text=st.text(max_size=3))
def test_nothing_of_a_flag_gets_into_the_source(text: str) -> None:
    names = compiled._compiled.cache_info().misses
    decider(on_off(1))
    after = compiled._compiled.cache_info().misses

    odd = replace(on_off(1, text), key=text, description=text, variants=(Variant(1, text),))
    decider(odd)

    assert (compiled._compiled.cache_info().misses, names <= after) == (after, True)
