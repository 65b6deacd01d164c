r"""Patterns that need no regular expression at all: `^/api/`, `@acme\.com$`, `^(DE|FR)$`, `^.+@acme\.com$`, `(?i)bot`.

Calling Python's `re` takes longer than all the rest of an evaluation, even where there is next to nothing to look for.
`$` is the end of the text and nothing else: RE2 does not stop before a newline that is the last character.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

from msgspec import Struct

#: The most texts of a set; and of those that are compared one after the other, which `re` does quicker from here on.
_MOST, _FEW = 100, 4


class Anything(Struct, frozen=True):
    """As many characters as there are, but no newline.

    Attributes:
        optional: whether it may be nothing.
    """

    optional: bool


class Literal(NamedTuple):
    """A condition on a text, as source.

    Attributes:
        source: an expression that is true or false, with `{v}` for the text and `{0}`, `{1}` for the constants.
        constants: what the text is compared with.
        ascii_only: whether only texts of ASCII are for it, and all others for RE2.
    """

    source: str
    constants: tuple[Any, ...]
    ascii_only: bool = False

    def folded(self) -> Literal:
        """Return the same without regard to upper and lower case; what else is alike there is beyond ASCII."""
        return Literal(self.source.replace("{v}", "{v}.lower()"), tuple(map(_lower, self.constants)), ascii_only=True)


def literal_of(parts: Sequence[tuple[str, ...] | Anything], *, anchored: bool, closed: bool) -> Literal | None:
    """Return the condition that a pattern is, or None if it is not one of these.

    Args:
        parts: what follows what: the texts that each part can be, all of them, or anything; no texts when they are not
            known.
        anchored: whether it begins with `^`.
        closed: whether it ends with `$`.
    """
    rest = list(parts)
    before, after = _anything(rest, 0), _anything(rest, -1)
    # Where the text may go on in any way, it may also go on with nothing, or with anything.
    if not anchored and before and before.optional:
        before = None
    if not closed and after and after.optional:
        after = None
    known = [part for part in rest if not isinstance(part, Anything)]
    if len(known) < len(rest) or prod(map(len, known)) not in range(1, _MOST + 1):
        return None
    texts = tuple(map("".join, product(*known)))
    if before or after:
        return _beside_anything(before, texts, after) if anchored and closed else None
    return _of_texts(texts, anchored=anchored, closed=closed)


def _anything(rest: list[tuple[str, ...] | Anything], end: int) -> Anything | None:
    """Take it away, if it is at this end of the parts."""
    found = rest[end] if rest else None
    if not isinstance(found, Anything):
        return None
    del rest[end]
    return found


def _of_texts(texts: tuple[str, ...], *, anchored: bool, closed: bool) -> Literal | None:
    if anchored and closed:
        return Literal("{v} == {0}", texts) if len(texts) == 1 else Literal("{v} in {0}", (frozenset(texts),))
    if len(texts) > _FEW:
        return None
    if anchored or closed:
        return Literal("{v}.startswith({0})" if anchored else "{v}.endswith({0})", (_affix(texts),))
    return Literal("{0} in {v}", texts) if len(texts) == 1 else None


def _beside_anything(before: Anything | None, texts: tuple[str, ...], after: Anything | None) -> Literal | None:
    """Return the condition where the text is one of some texts with anything before it, behind it, or both."""
    if len(texts) > _FEW or not all(texts):
        return None
    if any("\n" in text for text in texts) or (before and after and len(texts) > 1):
        return None
    # What at least one character has to be taken from is shorter by it.
    first = "1" if before and not before.optional else ""
    end = "-1" if after and not after.optional else ""
    where = f"{{v}}[{first}:{end}]" if first or end else "{v}"
    found = f"{{0}} in {where}" if before and after else f"{where}.{'endswith' if before else 'startswith'}({{0}})"
    return Literal(f"{found} and {{1}} not in {{v}}", (_affix(texts), "\n"))


def _lower(constant: Any) -> Any:
    return constant.lower() if isinstance(constant, str) else type(constant)(map(_lower, constant))


def _affix(texts: tuple[str, ...]) -> str | tuple[str, ...]:
    return texts[0] if len(texts) == 1 else texts
