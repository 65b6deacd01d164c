r"""Patterns that need no regular expression at all.

They are such as `^/api/`, `@acme\.com$`, `^(DE|FR)$`, `^.+@acme\.com$`, `^[a-z]+@acme\.com$`, `^u[0-9]+$`, `(?i)bot`.
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
#: What says that something was stripped: where there is nothing to strip, CPython returns the very same text.
_TAKEN = " and m is not {v}"


class Run(Struct, frozen=True):
    """As many characters as there are of some.

    Attributes:
        optional: whether it may be nothing.
        characters: which; empty for all but a newline.
    """

    optional: bool
    characters: str = ""


class Literal(NamedTuple):
    """A condition on a text, as source.

    Attributes:
        source: an expression that is true or false, with `{v}` for the text and `{0}`, `{1}` for the constants; it may
            leave something in `m`.
        constants: what the text is compared with.
        ascii_only: whether only texts of ASCII are for it, and all others for RE2.
        looks_through: whether it looks at each character, which takes longer than to remember what was found.
    """

    source: str
    constants: tuple[Any, ...]
    ascii_only: bool = False
    looks_through: bool = False

    def folded(self) -> Literal:
        """Return the same without regard to upper and lower case; what else is alike there is beyond ASCII."""
        # `lower` makes another text each time.
        source = self.source.replace(_TAKEN, _TAKEN.replace("is not", "!=")).replace("{v}", "{v}.lower()")
        constants = tuple(map(_lower, self.constants))
        return self._replace(source=source, constants=constants, ascii_only=True)

    def plain(self, name: str) -> str:
        """Return the expression that says whether what is in this variable is a text that it is for."""
        return f"type({name}) is str and {name}.isascii()" if self.ascii_only else f"type({name}) is str"


def literal_of(parts: Sequence[tuple[str, ...] | Run], *, anchored: bool, closed: bool) -> Literal | None:
    """Return the condition that a pattern is, or None if it is not one of these.

    Args:
        parts: what follows what: the texts that each part can be, all of them, or a run; no texts when they are not
            known.
        anchored: whether it begins with `^`.
        closed: whether it ends with `$`.
    """
    rest = list(parts)
    before, after = _run(rest, 0), _run(rest, -1)
    # Where the text may go on in any way, it may also go on with nothing, or with anything.
    if not anchored and before and before.optional:
        before = None
    if not closed and after and after.optional:
        after = None
    known = [part for part in rest if not isinstance(part, Run)]
    if len(known) < len(rest) or prod(map(len, known)) not in range(1, _MOST + 1):
        return None
    texts = tuple(map("".join, product(*known)))
    if before is None and after is None:
        return _of_texts("{v}", texts, anchored=anchored, closed=closed)
    if before and before.characters and after is None and anchored:
        return _beside_some(before, texts, left=True, open_end=not closed)
    if after and after.characters and before is None and closed:
        return _beside_some(after, texts, left=False, open_end=not anchored)
    if any(run and run.characters for run in (before, after)):
        return None
    return _beside_anything(before, texts, after) if anchored and closed else None


def _run(rest: list[tuple[str, ...] | Run], end: int) -> Run | None:
    """Take it away, if it is at this end of the parts."""
    found = rest[end] if rest else None
    if not isinstance(found, Run):
        return None
    del rest[end]
    return found


def _of_texts(whole: str, texts: tuple[str, ...], *, anchored: bool, closed: bool, at: int = 0) -> Literal | None:
    """Return the condition that what `whole` says is or has one of the texts, with constants from `at` on."""
    if anchored and closed:
        if len(texts) == 1:
            return Literal(f"{whole} == {{{at}}}", texts)
        return Literal(f"{whole} in {{{at}}}", (frozenset(texts),))
    if len(texts) > _FEW:
        return None
    if anchored or closed:
        return Literal(f"{whole}.{'startswith' if anchored else 'endswith'}({{{at}}})", (_affix(texts),))
    return Literal(f"{{{at}}} in {whole}", texts) if len(texts) == 1 else None


def _beside_some(run: Run, texts: tuple[str, ...], *, left: bool, open_end: bool) -> Literal | None:
    """Return the condition where one of some texts follows a run of certain characters, or comes before it.

    What the run takes is certain if the text does not go on with one of these characters; in any case, because the
    condition may be `folded`.
    """
    nearest = {text[:1] if left else text[-1:] for text in texts}
    if any(character and character.lower() in run.characters.lower() for character in nearest):
        return None
    stripped = f"{{v}}.{'l' if left else 'r'}strip({{0}})"
    whole = stripped if run.optional else f"(m := {stripped})"
    rest = _of_texts(whole, texts, anchored=left or not open_end, closed=not left or not open_end, at=1)
    if rest is None:
        return None
    return Literal(
        rest.source + ("" if run.optional else _TAKEN), (run.characters, *rest.constants), looks_through=True
    )


def _beside_anything(before: Run | None, texts: tuple[str, ...], after: Run | None) -> Literal | None:
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
