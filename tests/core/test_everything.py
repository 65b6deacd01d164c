"""All flags at once: that each result is the one that the flag has by itself."""

from __future__ import annotations

from typing import Any

from any_flags import contexts, entity_ids, flags, plain_contexts
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flagent.core.changes import Snapshot
from flagent.core.evaluation import Ruleset
from flagent.core.everything import Everything
from flagent.core.interpreter import Interpreter
from flagent.core.model import Constraint, Distribution, Flag, Segment, Variant


def alike(flag: Flag, count: int = 5) -> list[Flag]:
    """Return so many flags that differ in nothing but what identifies them."""
    return [replace(flag, id=flag.id + number, key=f"{flag.key}{number}") for number in range(count)]


def agree(flags: list[Flag], entity_id: Any, context: Any) -> None:
    ruleset = Ruleset.compile(Snapshot("e", 1, {flag.key: flag for flag in flags}, {}, 0))
    expected = {flag.key: Interpreter(flag).evaluate(entity_id, context) for flag in flags}
    # The first call is not planned yet.
    for _ in range(3):
        results = ruleset.evaluate_all(entity_id, context)
        assert results == expected
        assert list(results) == list(expected)


@settings(max_examples=400, deadline=None)
@given(several=st.lists(flags, max_size=3), entity_id=entity_ids, context=contexts)
def test_all_flags_agree_with_the_interpreter_on_any_arguments(
    several: list[Flag], entity_id: Any, context: Any
) -> None:
    agree([each for flag in several for each in alike(flag)], entity_id, context)


@settings(max_examples=300, deadline=None)
@given(flag=flags, entity_id=st.text(min_size=1, max_size=5), context=plain_contexts | st.none())
@example(flag=Flag(1, "f", enabled=True), entity_id="\ud800", context=None)
def test_flags_of_one_shape_agree_with_the_interpreter(flag: Flag, entity_id: str, context: Any) -> None:
    agree(alike(flag), entity_id, context)


def on_for(number: int, name: str, value: str, share: int = 50) -> Flag:
    segment = Segment(
        number,
        rollout_percent=share,
        constraints=(Constraint(name, "EQ", value),),
        distributions=(Distribution(number, 100),),
    )
    return Flag(number, f"flag{number}", enabled=True, segments=(segment,), variants=(Variant(number, "on"),))


def test_flags_of_one_shape_keep_what_is_their_own() -> None:
    flags = [on_for(number, f"property{number % 2}", f"value{number % 3}", number % 101) for number in range(1, 60)]

    for user in range(20):
        agree(flags, f"user{user}", {"property0": "value1", "property1": "value2"})


def test_an_id_that_has_no_encoding_counts_as_it_does_for_one_flag() -> None:
    agree(alike(on_for(1, "p", "x")), "\ud800", {"p": "x"})


class Unreadable(int):
    def __float__(self) -> float:
        raise RuntimeError("no")


def test_a_value_that_cannot_be_read_is_an_error_of_those_flags_only_that_read_it() -> None:
    segment = Segment(1, constraints=(Constraint("p", "GTE", "3"),), distributions=(Distribution(1, 100),))
    reading = alike(Flag(1, "reading", enabled=True, segments=(segment,), variants=(Variant(1, "on"),)))

    agree([*reading, *alike(on_for(20, "q", "x", 100))], "user1", {"p": Unreadable(3), "q": "x"})


def test_results_of_one_call_are_not_those_of_another() -> None:
    everything = Ruleset.compile(Snapshot.of("e", 1, alike(on_for(1, "p", "x"))))
    first = everything.evaluate_all("user1", {"p": "x"})
    everything.evaluate_all("user2", {"p": "x"})

    assert {result.entity_id for result in first.values()} == {"user1"}


def test_no_flags_have_no_results() -> None:
    assert Everything([]).evaluate("user1", {}) == {}
