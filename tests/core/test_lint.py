"""Warnings: each construct that deserves one gets exactly that one, and ordinary flags get none."""

from __future__ import annotations

import pytest
from flag_strategies import KEYS
from hypothesis import given
from msgspec.structs import replace

from flagent.core.lint import lint, lint_edit
from flagent.core.model import MAX_ID, PROPORTIONAL, Constraint, Distribution, Flag, Segment, Variant

_AB = (Variant(1, "a"), Variant(2, "b"))


def segment(*percents: int, rollout: int = 100, constraint: tuple[str, str] | None = None, id: int = 11) -> Segment:
    shares = tuple(Distribution(number, percent, "ab"[number - 1]) for number, percent in enumerate(percents, 1))
    constraints = () if constraint is None else (Constraint("p", *constraint, id=31),)
    return Segment(id, rank=id, rollout_percent=rollout, constraints=constraints, distributions=shares)


def flag(*segments: Segment, rollout: str = "threshold", id: int = 1) -> Flag:
    return Flag(id, "f", enabled=True, segments=segments, variants=_AB, rollout=rollout)


def codes(subject: Flag) -> list[str]:
    return [finding.code for finding in lint(subject)]


@pytest.mark.parametrize(
    "subject",
    [
        flag(segment(100)),
        flag(segment(50, 50)),
        flag(segment(100, rollout=20)),
        flag(segment(100, 0, rollout=20)),
        flag(segment(100, constraint=("EQ", "DE"))),
        flag(segment(100, constraint=("IN", "DE, FR"))),
        flag(segment(100, constraint=("EREG", "^(?:a|b)$"))),
        flag(segment(100, constraint=("GTE", "18"))),
        flag(segment(100, rollout=20), segment(100, rollout=50, id=12)),
        flag(segment(50, 50, rollout=10), rollout=PROPORTIONAL),
    ],
)
def test_an_ordinary_flag_gets_no_warning(subject: Flag) -> None:
    assert codes(subject) == []


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        (flag(segment(50, 50, rollout=10)), "partial-rollout-split"),
        (flag(segment(100), segment(100, id=12)), "unreachable-segment"),
        (flag(segment(100, rollout=20), segment(100, rollout=20, id=12)), "unreachable-segment"),
        (flag(segment(100, rollout=20), segment(100, id=12), rollout=PROPORTIONAL), "unreachable-segment"),
        (flag(segment()), "no-distribution"),
        (flag(Segment(11, distributions=(Distribution(9, 100),))), "unknown-variant"),
        (flag(segment(50, 50, rollout=25), rollout=PROPORTIONAL), "fractional-share"),
        (flag(segment(100), id=MAX_ID + 1), "large-id"),
        (flag(segment(100, constraint=("EREG", "abc"))), "unanchored-pattern"),
        (flag(segment(100, constraint=("EREG", "^a|b$"))), "unanchored-pattern"),
        (flag(segment(100, constraint=("EREG", r"^a\$"))), "unanchored-pattern"),
        (flag(segment(100, constraint=("EREG", "^(?P<n>a)$"))), "pattern-dialect"),
        (flag(segment(100, constraint=("EREG", r"^\p{L}$"))), "pattern-dialect"),
        (flag(segment(100, constraint=("NEQ", "DE"))), "missing-property"),
        (flag(segment(100, constraint=("LT", "18"))), "missing-property"),
        (flag(segment(100, constraint=("GTE", "1e3"))), "odd-number"),
        (flag(segment(100, constraint=("EQ", "1000000"))), "number-as-text"),
        (flag(segment(100, constraint=("IN", "1, 2.5"))), "number-as-text"),
        (flag(segment(100, constraint=("IN", '["US","CA"]'))), "json-list"),
        (flag(segment(100, constraint=("EQ", '"US"'))), "quoted-value"),
        (flag(*(replace(segment(100, rollout=n, id=n), rank=0) for n in range(1, 14))), "unstable-ranks"),
    ],
)
def test_what_surprises_gets_its_warning(subject: Flag, code: str) -> None:
    assert codes(subject) == [code]


def test_more_than_twelve_variants_with_ties_may_be_placed_differently() -> None:
    percents = [7] * 12 + [16]
    shares = tuple(Distribution(number, percent) for number, percent in enumerate(percents))
    variants = tuple(Variant(number, f"v{number}") for number in range(13))

    subject = Flag(1, "f", segments=(Segment(11, distributions=shares),), variants=variants)

    assert codes(subject) == ["unstable-distribution"]


@pytest.mark.parametrize(
    ("before", "after", "warned"),
    [
        ((49, 51), (51, 49), True),
        ((50, 50), (51, 49), True),
        ((49, 51), (50, 50), False),
        ((30, 70), (40, 60), False),
    ],
)
def test_an_edit_that_changes_which_percent_is_smallest_is_warned_of(
    before: tuple[int, int], after: tuple[int, int], warned: bool
) -> None:
    found = lint_edit(flag(segment(*before)), flag(segment(*after)))

    assert [finding.code for finding in found] == ["percent-order-reversed"] * warned


def test_a_proportional_flag_may_change_its_percents_freely() -> None:
    before, after = flag(segment(49, 51), rollout=PROPORTIONAL), flag(segment(51, 49), rollout=PROPORTIONAL)

    assert lint_edit(before, after) == ()


def test_a_warning_names_where_and_what_and_the_way_out() -> None:
    (finding,) = lint(flag(segment(100, constraint=("EREG", "abc"))))

    assert (finding.segment_id, finding.constraint_id) == (11, 31)
    assert "segment 11, constraint 31: pattern 'abc'" in finding.message
    assert "^(?:abc)$" in finding.message


@given(value=KEYS)
def test_no_constraint_value_makes_a_rule_fail(value: str) -> None:
    for operator in ("EREG", "IN", "LT", "NEQ", "??"):
        lint(flag(segment(100, constraint=(operator, value))))
