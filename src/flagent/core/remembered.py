"""What a pattern said last: a program asks several flags about the same text, and the same flag more than once.

Looking for a pattern takes longer than all the rest of an evaluation, so each pattern keeps the last text in which it
was found and the last one in which it was not. A text never changes; one that is the very same object needs no second
look. Flags with the same pattern share what it keeps.

Each of the two references is true by itself, whatever becomes of the other one, so that threads need no lock. A pair of
text and answer would do as well, but making one takes a fifth of what looking for the pattern does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from .constraints import compile_search
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


class Remembered:
    """The last texts that a pattern was asked about.

    Args:
        match: looks for the pattern in any text; returns None when there is no match.

    Attributes:
        matched: the last text in which it was found.
        unmatched: the last text in which it was not.
    """

    __slots__ = ("_match", "matched", "unmatched")

    def __init__(self, match: Match) -> None:
        self._match = match
        # Nothing else is these, and neither is None.
        self.matched: object = object()
        self.unmatched: object = object()

    def other(self, value: object) -> object | None:
        """Return what the pattern says of a property that is there and no plain text; None for no."""
        form = text(value)
        return None if form is None else self._match(form)


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
    """Return how a pattern that is no `Literal` is asked, or None when it can't be compiled."""
    found = simple(pattern)
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
    return Asked(_SOURCE.replace("ASKED", source), (Remembered(match), *constants))


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
