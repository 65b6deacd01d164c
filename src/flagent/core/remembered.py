"""What a pattern said last: a program asks several flags about the same text, and the same flag more than once.

Looking for a pattern takes longer than all the rest of an evaluation, so each pattern keeps the last text in which it
was found and the last one in which it was not (of a `Literal` the former only, as looking for it takes less). A text
never changes; one that is the very same object needs no second look. Flags with the same pattern share what it keeps.

Each of the two references is true by itself, whatever becomes of the other one, so that threads need no lock. A pair of
text and answer would do as well, but making one takes a fifth of what looking for the pattern does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from .constraints import Test, compile_search, compile_test
from .literal_patterns import Literal
from .model import Constraint
from .patterns import Match, Search, simple
from .texts import text

#: The most characters of a text that is kept.
_LONGEST = 1000

#: Lines of a generated function (`conditions`) which leave None in `m` when what is in `{v}` does not match, and else
#: something else. `{0}` is the `Remembered`. What is no text raises a TypeError: asking for its type would cost each
#: text more.
_SOURCE = f"""\
m = {{0}}.matched
if {{v}} is not m:
 if {{v}} is None or {{v}} is {{0}}.unmatched: m = None
 else:
  try: m = ASKED
  except TypeError: m = {{0}}.other({{v}})
  else:
   if len({{v}}) > {_LONGEST}: pass
   elif m is not None: {{0}}.matched = {{v}}
   else: {{0}}.unmatched = {{v}}"""


#: The same for a `Literal` that looks at each character: CONDITION, for what is PLAIN. It is so quick that asking how
#: long a text is would be a tenth of it; so each pattern keeps the last one that matched, whatever its length.
_LITERAL_SOURCE = """\
m = {v}
if {v} is not {0}.matched:
 if PLAIN:
  if CONDITION: {0}.matched = {v}
  else: m = None
 elif {v} is not None: m = {0}.other({v})"""


class Remembered:
    """The last texts that a pattern was asked about.

    Args:
        other: see below.

    Attributes:
        matched: the last text in which it was found.
        unmatched: the last text in which it was not.
        other: what tells of a property that is there and no plain text; None for no.
    """

    __slots__ = ("matched", "other", "unmatched")

    def __init__(self, other: Callable[[object], object | None]) -> None:
        # Nothing else is these, and neither is None.
        self.matched: object = object()
        self.unmatched: object = object()
        self.other = other


class Asked(NamedTuple):
    """How a generated function asks a pattern.

    Attributes:
        source: lines with `{v}` for the property as it is, and `{0}`, `{1}` and so on for the constants; afterwards `m`
            is None when the pattern does not match.
        constants: the `Remembered`, and what looks for the pattern.
    """

    source: str
    constants: tuple[Any, ...]


# Kept, so that other flags with the same pattern find it, and those of the next revision.
@lru_cache(maxsize=256)
def asked(pattern: str) -> Asked | None:
    """Return how a pattern is asked that takes longer than to remember its answer; None when it can't be compiled."""
    found = simple(pattern)
    if isinstance(found, Literal):
        names = [f"{{{number + 1}}}" for number in range(len(found.constants))]
        condition = found.source.format(*names, v="{v}")
        source = _LITERAL_SOURCE.replace("PLAIN", found.plain("{v}")).replace("CONDITION", condition)
        other = others(pattern)
        return Asked(source, (Remembered(lambda value: other(value) or None), *found.constants))
    if isinstance(found, Search):
        if not found.careful:
            return _asked("{1}({v})", found.match, found.match)
        careful = _careful(found.match)
        return _asked("{1}({v}) if type({v}) is str and {v}.isascii() else {2}({v})", careful, found.match, careful)
    search = compile_search(pattern)
    if search is None:
        return None
    match = _only_texts(lambda whole: search(whole) or None)
    return _asked("{1}({v})", match, match)


def _asked(source: str, match: Match, *constants: Match) -> Asked:
    def other(value: object) -> object | None:
        form = text(value)
        return None if form is None else match(form)

    return Asked(_SOURCE.replace("ASKED", source), (Remembered(other), *constants))


@lru_cache(maxsize=256)
def others(pattern: str) -> Test:
    """Return what a pattern says of a property that is there and not the kind of text that it is a `Literal` for."""
    test: Test | None = None

    def holds(value: object) -> bool:
        nonlocal test
        if test is None:
            # Mostly there is none, and RE2 takes longer to compile a pattern than all the rest of a flag does.
            test = compile_test(Constraint("", "EREG", pattern))
        return test(value)

    return holds


def _careful(match: Match) -> Match:
    """Return what looks for a pattern in a text that may have lone surrogates, as the interpreter does it for RE2."""
    return _only_texts(lambda whole: match(whole if whole.isascii() else whole.encode("utf-8", "replace").decode()))


def _only_texts(match: Match) -> Match:
    def checked(value: str) -> object | None:
        # RE2 takes bytes as well, which have another text here.
        if type(value) is not str:
            raise TypeError(f"a {type(value).__name__} is no text")
        return match(value)

    return checked
