"""What a flag may do that its authors don't expect, or that clients do differently. Warnings, never refusals.

One function for each rule; each yields what it finds. Everything here is cheap: it runs on every edit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from .bucketing import in_order, in_rank_order
from .model import MAX_ID, PROPORTIONAL, THRESHOLD, Constraint, Flag, wire_name
from .texts import number

#: Sorting in Flagent's Go client is stable up to this many entries.
_STABLE_IN_GO = 12
_NEGATIVE = frozenset({"NEQ", "NOTIN", "NOTCONTAINS", "NEREG"})
_TEXTUAL = frozenset({"EQ", "NEQ", "IN", "NOTIN", "EREG", "NEREG", "CONTAINS", "NOTCONTAINS"})
#: Whether a comparison with this limit holds for 0, which Flagent's Go client takes a missing property for.
_HOLDS_FOR_ZERO: dict[str, Callable[[float], bool]] = {
    "LT": lambda limit: limit > 0,
    "LTE": lambda limit: limit >= 0,
    "GT": lambda limit: limit < 0,
    "GTE": lambda limit: limit <= 0,
}
_PLAIN_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_TOUCHY_NUMBER = re.compile(r"-?([0-9]{7,}(\.[0-9]+)?|[0-9]+\.[0-9]+)")
#: What not all of RE2, Java and ICU read alike: look-around and named groups, back-references,
#: possessive quantifiers, \Q, \p, and POSIX classes.
_DIALECT = re.compile(r"\(\?[=!<P]|\\[1-9]|[*+?}]\+|\\[QpP]|\[\[:")


class Finding(Struct, frozen=True, rename=wire_name):
    """One warning.

    Attributes:
        code: its stable name.
        message: what happens, where, and the way out.
        segment_id: the segment that it is about, or None.
        constraint_id: the constraint that it is about, or None.
    """

    code: str
    message: str
    segment_id: int | None = None
    constraint_id: int | None = None


def lint(flag: Flag) -> tuple[Finding, ...]:
    """Return what deserves a warning in a flag."""
    found = [finding for rule in _FLAG_RULES for finding in rule(flag)]
    for segment in flag.segments:
        for constraint in segment.constraints:
            for rule in _CONSTRAINT_RULES:
                for code, message in rule(constraint):
                    where = f"segment {segment.id}, constraint {constraint.id}: {message}"
                    found.append(Finding(code, where, segment.id, constraint.id))
    return tuple(found)


def lint_edit(before: Flag | None, after: Flag) -> tuple[Finding, ...]:
    """Return what deserves a warning in a flag, and in the step that led to it; None for a new flag."""
    return lint(after) if before is None else (*_reversed_orders(before, after), *lint(after))


def _reversed_orders(before: Flag, after: Flag) -> Iterator[Finding]:
    if before.rollout != THRESHOLD or after.rollout != THRESHOLD:
        return
    for segment in after.segments:
        old = before.segment(segment.id)
        if old is None:
            continue
        places = {share.variant_id: place for place, share in enumerate(in_order(old, THRESHOLD))}
        order = [places[share.variant_id] for share in in_order(segment, THRESHOLD) if share.variant_id in places]
        if order != sorted(order):
            yield Finding(
                "percent-order-reversed",
                f"segment {segment.id}: variants are placed smallest percent first, and the edit changes which it is: "
                "nearly all entities change their variant. Keep the order of percents, or set rollout `proportional`",
                segment.id,
            )


def _partial_splits(flag: Flag) -> Iterator[Finding]:
    for segment in flag.segments if flag.rollout == THRESHOLD else ():
        shares = [share for share in segment.distributions if share.percent > 0]
        if 0 < segment.rollout_percent < 100 and len(shares) > 1:
            first = in_order(segment, THRESHOLD)
            keys = ", ".join(share.variant_key or str(share.variant_id) for share in first if share.percent > 0)
            yield Finding(
                "partial-rollout-split",
                f"segment {segment.id}: a rollout of {segment.rollout_percent} % gives the first variants ({keys}, in "
                "this order) their full share and the last nothing; set rollout `proportional` to keep the split",
                segment.id,
            )


def _unreachable_segments(flag: Flag) -> Iterator[Finding]:
    blocked, by = -1, 0
    for segment in in_rank_order(flag):
        if segment.rollout_percent <= blocked:
            yield Finding(
                "unreachable-segment",
                f"segment {segment.id}: nobody gets here, segment {by} before it has no constraint and takes all "
                "buckets that this one would; change their order, or raise this rollout",
                segment.id,
            )
        if not segment.constraints and segment.distributions:
            # A proportional segment ends the evaluation even for those that its rollout misses.
            reach = 100 if flag.rollout == PROPORTIONAL else segment.rollout_percent
            if reach > blocked:
                blocked, by = reach, segment.id


def _segments_without_distribution(flag: Flag) -> Iterator[Finding]:
    for segment in flag.segments:
        if not segment.distributions:
            yield Finding(
                "no-distribution",
                f"segment {segment.id}: it has no distribution and is passed over here, but Flagent's Go client stops "
                "at it; give it a distribution or delete it",
                segment.id,
            )


def _unknown_variants(flag: Flag) -> Iterator[Finding]:
    known = {variant.id for variant in flag.variants}
    for segment in flag.segments:
        for share in segment.distributions:
            if share.variant_id not in known:
                yield Finding(
                    "unknown-variant",
                    f"segment {segment.id}: {share.percent} % go to variant {share.variant_id}, which the flag has "
                    "not; whoever gets it counts as off",
                    segment.id,
                )


def _fractional_shares(flag: Flag) -> Iterator[Finding]:
    for segment in flag.segments if flag.rollout == PROPORTIONAL else ():
        uneven = [share for share in segment.distributions if share.percent * segment.rollout_percent % 100]
        if uneven:
            keys = ", ".join(share.variant_key or str(share.variant_id) for share in uneven)
            yield Finding(
                "fractional-share",
                f"segment {segment.id}: {segment.rollout_percent} % of the share of {keys} is no whole percent; "
                "Flagent's clients get it rounded and place up to 5 of 1000 entities differently",
                segment.id,
            )


def _unstable_orders(flag: Flag) -> Iterator[Finding]:
    ranks = [segment.rank for segment in flag.segments]
    if len(ranks) > _STABLE_IN_GO and len(set(ranks)) < len(ranks):
        message = (
            f"{len(ranks)} segments, some of equal rank: Flagent's Go client may try them in another order; reorder"
        )
        yield Finding("unstable-ranks", message)
    for segment in flag.segments if flag.rollout == THRESHOLD else ():
        percents = [share.percent for share in segment.distributions]
        if len(percents) > _STABLE_IN_GO and 1 < len(set(percents)) < len(percents):
            yield Finding(
                "unstable-distribution",
                f"segment {segment.id}: of {len(percents)} variants some have the same percent; Flagent's Go client "
                "may place them in another order",
                segment.id,
            )


def _large_ids(flag: Flag) -> Iterator[Finding]:
    if flag.id > MAX_ID:
        yield Finding(
            "large-id", f"flag id {flag.id}: above {MAX_ID} some clients cut it and place entities differently"
        )


def _patterns(constraint: Constraint) -> Iterator[tuple[str, str]]:
    if constraint.operator not in ("EREG", "NEREG"):
        return
    value = constraint.value
    if not _anchored(value):
        yield (
            "unanchored-pattern",
            (
                f"pattern {value!r} matches any part of a value here, but Flagent's server and Kotlin clients want it "
                f"to match the whole; write ^(?:{value})$ for the whole, or ^.*(?:{value}).*$ for a part"
            ),
        )
    if _DIALECT.search(value):
        yield (
            "pattern-dialect",
            (
                f"pattern {value!r} uses what RE2, Java and Swift read differently (look-around, groups by name, back-"
                "references, possessive quantifiers, \\Q, \\p or POSIX classes)"
            ),
        )


def _anchored(pattern: str) -> bool:
    if not pattern.startswith("^") or not pattern.endswith("$"):
        return False
    before_end = pattern[:-1]
    if (len(before_end) - len(before_end.rstrip("\\"))) % 2:
        return False
    # An alternative outside of every group is anchored on one side only.
    depth, escaped = 0, False
    for character in pattern:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "|" and depth == 0:
            return False
    return True


def _missing_properties(constraint: Constraint) -> Iterator[tuple[str, str]]:
    name, operator = constraint.property, constraint.operator
    if operator in _NEGATIVE:
        yield (
            "missing-property",
            (f"{operator} is false here for entities without {name!r}, but true in Flagent's Go client: always send"),
        )
    limit = number(constraint.value)
    if operator in _HOLDS_FOR_ZERO and limit is not None and _HOLDS_FOR_ZERO[operator](limit):
        yield (
            "missing-property",
            (
                f"{operator} {constraint.value} is false here for entities without {name!r}, but Flagent's Go client "
                "takes them for 0, for which it is true; always send it"
            ),
        )


def _numbers(constraint: Constraint) -> Iterator[tuple[str, str]]:
    value = constraint.value
    if constraint.operator in _HOLDS_FOR_ZERO and not _PLAIN_NUMBER.fullmatch(value):
        yield "odd-number", f"{constraint.operator} {value!r}: not every client reads it as a number; write it plainly"
    if constraint.operator in _TEXTUAL and any(_TOUCHY_NUMBER.fullmatch(item.strip()) for item in value.split(",")):
        yield (
            "number-as-text",
            (
                f"{constraint.operator} {value!r}: clients write large numbers and fractions differently (1e+06); "
                "let the application send texts, or compare with LT, LTE, GT or GTE"
            ),
        )


def _literals(constraint: Constraint) -> Iterator[tuple[str, str]]:
    value = constraint.value.strip()
    if constraint.operator in ("IN", "NOTIN") and value.startswith("["):
        yield (
            "json-list",
            (f"{constraint.operator} {value!r}: items are separated by commas, brackets become part of them"),
        )
    elif len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        yield "quoted-value", f"{constraint.operator} {value!r}: the quotes are part of the value; leave them out"


_FLAG_RULES: tuple[Callable[[Flag], Iterator[Finding]], ...] = (
    _partial_splits,
    _unreachable_segments,
    _segments_without_distribution,
    _unknown_variants,
    _fractional_shares,
    _unstable_orders,
    _large_ids,
)
_CONSTRAINT_RULES: tuple[Callable[[Constraint], Iterator[tuple[str, str]]], ...] = (
    _patterns,
    _missing_properties,
    _numbers,
    _literals,
)
