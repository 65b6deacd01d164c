"""The flags that every SDK is given, in nobody's format, and the answers that are right.

    a  on for everybody                         d  ten rules with one condition each; the last matches
    b  on for 50 %                              e  a text is one of 1,000
    c  two conditions, then half A, half B      f  a text matches a regular expression

f is asked twice: for people who all have the same properties, as with the other flags, and for people of whom each has
a text of his own, which is another one than that of the call before.

Only the standard library: this runs in the environments of all SDKs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

Operator = Literal["is", "at least", "one of", "matches"]

KINDS = tuple("abcdef")
#: Flag f, for people of whom each has a text of his own.
OWN_TEXTS = "f, another text each time"
#: What is measured.
ROWS = (*KINDS, OWN_TEXTS)
#: What an SDK says for `c` to who is in no rule, where it has to be told.
NEITHER = "neither"


@dataclass(frozen=True)
class Condition:
    """One condition on the property of that name: `value` is a text, a number, or a tuple of texts for `one of`."""

    name: str
    operator: Operator
    value: Any

    @property
    def values(self) -> list[Any]:
        """The value, or all of them."""
        return list(self.value) if isinstance(self.value, tuple) else [self.value]


@dataclass(frozen=True)
class Case:
    """A flag: on for `share` percent of those who meet all conditions of one of the rules.

    Attributes:
        key: name of the flag.
        kind: which of the six it is.
        rules: conditions of each rule; none means everybody.
        share: percent.
        split: variants with equal shares; none is a flag that is on or off.
    """

    key: str
    kind: str
    rules: tuple[tuple[Condition, ...], ...] = ()
    share: int = 100
    split: tuple[str, ...] = ()


@dataclass(frozen=True)
class Person:
    """Whom a flag is evaluated for."""

    id: str
    properties: dict[str, str | int]


@dataclass(frozen=True)
class Call:
    """One evaluation as source: an expression on the names, and on what one of `people` is assigned to.

    Attributes:
        target: a name, or several for a tuple.
    """

    expression: str
    names: dict[str, Any]
    people: list[Any]
    target: str = "person"


def call_with_properties(expression: str, names: dict[str, Any], people: list[Person]) -> Call:
    """Return the evaluation by an SDK that is given `person`, which is an id, and `properties`."""
    shared = people[0].properties
    if all(each.properties is shared for each in people):
        return Call(expression, {**names, "properties": shared}, [each.id for each in people])
    return Call(expression, names, [(each.id, each.properties) for each in people], "person, properties")


class Sdk(Protocol):
    """What an adapter's class `Adapter` offers; making one loads the flags, and `folder` is a place for files."""

    def __init__(self, cases: list[Case], folder: Path) -> None: ...

    def call(self, case: Case, people: list[Person]) -> Call | None:
        """Return the evaluation of a flag with contexts that are ready, or None if the SDK has no such flag."""
        ...

    def everything(self, person: Person) -> Call | None:
        """Return the evaluation of all flags, whose value is their number, or None if there is no such method."""
        ...


_TEAMS = tuple(f"team-{number:04}" for number in range(1000))
_SIX = {
    "a": Case("flag_a", "a"),
    "b": Case("flag_b", "b", share=50),
    "c": Case("flag_c", "c", ((Condition("country", "is", "DE"), Condition("age", "at least", 18)),), split=("A", "B")),
    "d": Case("flag_d", "d", tuple((Condition("tier", "is", f"t{number}"),) for number in range(10))),
    "e": Case("flag_e", "e", ((Condition("team", "one of", _TEAMS),),)),
    "f": Case("flag_f", "f", ((Condition("email", "matches", r"^[a-z0-9._+-]+@(example|acme)\.(com|org)$"),),)),
}
#: Of a hundred flags of a usual application.
_MIX = "a" * 40 + "b" * 20 + "c" * 25 + "d" * 10 + "f" * 4 + "e"
_FEWER_TEAMS = 20

_MATCHING: dict[str, str | int] = {
    "country": "DE",
    "age": 34,
    "tier": "t9",
    "team": "team-0500",
    "email": "jane.doe+x@acme.org",
    "plan": "pro",
}
_OUTSIDE: dict[str, dict[str, str | int]] = {
    "c": {"age": 17},
    "d": {"tier": "t10"},
    "e": {"team": "team-1000"},
    "f": {"email": "jane.doe@acme.net"},
}


def six() -> list[Case]:
    """Return the six flags."""
    return list(_SIX.values())


def many(count: int) -> list[Case]:
    """Return so many flags of the six kinds, as a usual application has them."""
    return [_another(_MIX[number % len(_MIX)], number) for number in range(count)]


def _another(kind: str, number: int) -> Case:
    rules = _SIX[kind].rules
    if kind == "e":
        rules = ((Condition("team", "one of", _TEAMS[:_FEWER_TEAMS]),),)
    return replace(_SIX[kind], key=f"flag_{kind}_{number}", rules=rules)


def people(count: int, row: str = "") -> list[Person]:
    """Return people whom all rules fit."""
    if row == OWN_TEXTS:
        return [
            Person(each.id, _MATCHING | {"email": f"jane.{at:04}+@acme.org"}) for at, each in enumerate(people(count))
        ]
    return [Person(f"user-{number:05}-4f2a", _MATCHING) for number in range(count)]


def outsiders(row: str, count: int) -> list[Person]:
    """Return people whom the flag's rules do not fit; none if it has no rules."""
    if row == OWN_TEXTS:
        return [
            Person(each.id, _MATCHING | {"email": f"jane.{at:04}+@acme.net"}) for at, each in enumerate(people(count))
        ]
    different = _OUTSIDE.get(row)
    if different is None:
        return []
    return [Person(each.id, {**each.properties, **different}) for each in people(count)]


def wrong_answers(case: Case, inside: list[Any], outside: list[Any]) -> Iterator[str]:
    """Say what is wrong with the answers for those whom the rules fit, and for the others."""
    if case.split:
        shares = {name: inside.count(name) / len(inside) for name in case.split}
        if any(abs(share - 1 / len(case.split)) > 0.03 for share in shares.values()) or sum(shares.values()) != 1:
            yield f"{case.key}: the shares are {shares}"
        if any(answer in case.split for answer in outside):
            yield f"{case.key}: somebody outside of it got a variant"
        return
    share = inside.count(True) / len(inside)
    if inside.count(True) + inside.count(False) != len(inside) or abs(share - case.share / 100) > 0.03 * (
        case.share < 100
    ):
        yield f"{case.key}: on for {share:.1%}, not {case.share} %"
    if any(answer is not False for answer in outside):
        yield f"{case.key}: on for somebody outside of it"
