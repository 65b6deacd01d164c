r"""Patterns that Python's `re` matches exactly as RE2 does, in linear time: most of those that flags have.

RE2 is the rule and the safeguard, but calling it from Python takes ten times as long as `re` does. So a pattern is
given to `re` when it is in a small language that both read alike, and in which `re` never has a choice to go back to
(and to neither when a comparison of texts says the same, `literal_patterns`):

* characters, escaped punctuation, `.`, `\d`, `\w`, classes of these, and groups of plain alternatives, none of which
  is the beginning of another one;
* after `^` also `?`, `*`, `+` and `{n,m}` behind one of the first kinds, when nothing that it takes could be the next
  thing as well. They are written as possessive, so that `re` could not even try. Without `^` there is no repetition,
  because each position of the text would be a beginning of its own, and only few characters to look at from there.

So the longest text takes a few steps for each of its characters, and there is no length from which on nothing is looked
for, as there is for RE2's (`constraints`). Whatever else there is, is RE2's. `re` never sees what somebody wrote, but
only what is put together here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct

from .literal_patterns import Literal, Run, literal_of

Match = Callable[[str], object | None]

#: Pairs of first and last code point, in order and apart.
_Set = tuple[tuple[int, int], ...]

_LAST, _FIRST_BEYOND_ASCII = 0x10FFFF, 0x80
#: Before a pattern to which upper and lower case are the same.
_FOLDED = "(?i)"
#: What RE2 certainly has room for: characters of a pattern, and repetitions in it all together.
_LONGEST, _MOST_REPEATED = 500, 1000
#: The most characters to look at from each position of a text: `[ab]{500}c` would take that many steps for each.
_WIDEST = 32
_QUESTION_MARK, _SURROGATES = ((0x3F, 0x3F),), ((0xD800, 0xDFFF),)
_DIGITS, _LETTERS = ((0x30, 0x39),), ((0x41, 0x5A), (0x61, 0x7A))
_ESCAPES: dict[str, _Set] = {"d": _DIGITS, "w": (*_DIGITS, _LETTERS[0], (0x5F, 0x5F), _LETTERS[1])}

# What an ordinary character is, outside of and inside a class; both without what is beyond ASCII.
_PLAIN = r"[ !\"#%&',/0-9:;<=>@A-Z_`a-z~-]"
_ESCAPED = r"\\[!-/:-@\[-^`{-~]"
_LITERAL = rf"(?:{_PLAIN}|{_ESCAPED})"
_MEMBER = rf"(?:[ !\"#$%&'()*+,./0-9:;<=>?@A-Z_`a-z{{|}}~]|{_ESCAPED})"
# Compiled with the first pattern, which takes longer than importing all of this; `re` keeps them.
_ITEM = (
    rf"(?:(?P<literal>{_LITERAL})|(?P<escape>\\[dw])|(?P<any>\.)"
    rf"|\[(?P<not>\^?)(?P<members>-?(?:\\[dw]|{_MEMBER}-{_MEMBER}|{_MEMBER})*-?)\]"
    rf"|\((?:\?:)?(?P<words>{_LITERAL}+(?:\|{_LITERAL}+)*)\))"
    r"(?P<repeat>[*+?]|\{[0-9]{1,3}(?:,(?:[0-9]{1,3})?)?\})?"
)
_WORD = rf"{_LITERAL}+"
_PART = rf"\\(?P<escape>[dw])|(?P<first>{_MEMBER})-(?P<last>{_MEMBER})|(?P<one>{_MEMBER}|-)"


class _Item(Struct, frozen=True):
    """One thing after the other in a pattern.

    Attributes:
        source: it, in the words of `re`.
        first: the characters that it can begin with.
        optional: whether it may be nothing.
        most: the largest number in its repetition.
        repeats: whether how much it takes depends on the text.
        texts: all that it can be, if that is one text or one of a group.
        endless: whether it takes as many as there are.
    """

    source: str
    first: _Set
    optional: bool
    most: int
    repeats: bool
    texts: tuple[str, ...] = ()
    endless: bool = False

    @property
    def part(self) -> tuple[str, ...] | Run:
        """What `literal_patterns` knows it by."""
        if self.endless and self.first == _ANY:
            return Run(self.optional)
        if self.endless and self.first[-1][1] < _FIRST_BEYOND_ASCII:
            return Run(self.optional, "".join(chr(code) for one in self.first for code in range(one[0], one[1] + 1)))
        return self.texts

    @property
    def width(self) -> int:
        """The most characters of a text to look at, all alternatives together; only without open repetitions."""
        return max(self.most, sum(map(len, self.texts)))


class Search(Struct, frozen=True):
    """A pattern that is Python's `re`'s.

    Attributes:
        match: what looks for it in a text without lone surrogates; it returns None when there is no match, and
            something else when there is one.
        careful: whether lone surrogates have to be replaced by question marks, as the interpreter does it for RE2;
            most patterns take both or neither.
    """

    match: Match
    careful: bool


# Flags are often alike in their patterns.
@lru_cache(maxsize=256)
def simple(pattern: str) -> Literal | Search | None:
    """Return what the pattern is without RE2; None for a pattern that is RE2's."""
    if pattern.startswith(_FOLDED):
        found = simple(pattern.removeprefix(_FOLDED))
        return found.folded() if isinstance(found, Literal) and not found.ascii_only else None
    anchored, rest = pattern.startswith("^"), pattern.removeprefix("^")
    # A dollar sign that a backslash stands before leaves that at the end, which is no item.
    closed, rest = rest.endswith("$"), rest.removesuffix("$")
    items = _items(rest) if len(rest) <= _LONGEST else None
    if items is None or sum(item.most for item in items) > _MOST_REPEATED:
        return None
    careful = any(_differs(item) for item in items)
    literal = None if careful else literal_of([item.part for item in items], anchored=anchored, closed=closed)
    if literal is not None:
        return literal
    if not _is_definite(items, anchored) or (not anchored and sum(item.width for item in items) > _WIDEST):
        return None
    compiled = re.compile("".join(item.source for item in items) + (r"\Z" if closed else ""))
    return Search(compiled.match if anchored else compiled.search, careful)


def _items(rest: str) -> list[_Item] | None:
    items, at, pattern = [], 0, re.compile(_ITEM)
    while at < len(rest):
        found = pattern.match(rest, at)
        item = None if found is None else _item(found)
        if found is None or item is None:
            return None
        items.append(item)
        at = found.end()
    return items


def _item(found: re.Match[str]) -> _Item | None:
    repeat = found["repeat"]
    if found["words"] is not None:
        return None if repeat else _group(re.findall(_WORD, found["words"]))
    taken = _taken(found)
    if not taken:
        return None
    source = _source(taken)
    if repeat is None:
        texts = (chr(taken[0][0]),) if len(taken) == 1 and taken[0][0] == taken[0][1] else ()
        return _Item(source, taken, optional=False, most=1, repeats=False, texts=texts)
    bounds = [int(bound) for bound in re.findall("[0-9]+", repeat)]
    if bounds != sorted(bounds):
        return None
    optional = repeat in ("*", "?") or bounds[:1] == [0]
    endless = repeat in ("*", "+", "{0,}", "{1,}")
    repeats, most = not repeat[1:-1].isdigit(), max(bounds, default=1)
    return _Item(f"{source}{repeat}+", taken, optional, most, repeats, endless=endless)


def _group(words: list[str]) -> _Item | None:
    texts = sorted({_unescaped(word) for word in words})
    # In order, what begins with a text follows right after it.
    if any(longer.startswith(text) for text, longer in pairwise(texts)):
        return None
    source = "|".join(map(re.escape, texts))
    first = _union((ord(text[0]), ord(text[0])) for text in texts)
    return _Item(f"(?>{source})", first, optional=False, most=1, repeats=False, texts=tuple(texts))


def _taken(found: re.Match[str]) -> _Set:
    """Return the characters that an item other than a group can take; none when it is not certain which."""
    if found["any"]:
        return _ANY
    if found["escape"]:
        return _ESCAPES[found["escape"][1]]
    if found["literal"]:
        code = ord(_unescaped(found["literal"]))
        return ((code, code),)
    ranges: list[tuple[int, int]] = []
    for part in re.finditer(_PART, found["members"]):
        if part["escape"]:
            ranges += _ESCAPES[part["escape"]]
        else:
            first = ord(_unescaped(part["first"] or part["one"]))
            last = ord(_unescaped(part["last"])) if part["last"] else first
            if last < first:
                return ()
            ranges.append((first, last))
    if not ranges:
        return ()
    return _without(_union(ranges)) if found["not"] else _union(ranges)


def _differs(item: _Item) -> bool:
    """Return whether a question mark and a lone surrogate are not the same to an item."""
    if item.texts:
        return any("?" in text for text in item.texts)
    # No class has some of the surrogates only: its members are ASCII.
    return _meet(item.first, _QUESTION_MARK) != _meet(item.first, _SURROGATES)


def _is_definite(items: list[_Item], anchored: bool) -> bool:
    """Return whether there is never a choice how much an item takes."""
    following: _Set = ()
    for item in reversed(items):
        if item.repeats and (not anchored or _meet(item.first, following)):
            return False
        following = _union((*item.first, *following)) if item.optional else item.first
    return True


def _unescaped(literals: str) -> str:
    return re.sub(r"\\(.)", r"\1", literals)


def _source(taken: _Set) -> str:
    if len(taken) == 1 and taken[0][0] == taken[0][1]:
        return re.escape(chr(taken[0][0]))
    return "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in taken) + "]"


def _union(ranges: Iterator[tuple[int, int]] | list[tuple[int, int]] | _Set) -> _Set:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def _without(ranges: _Set) -> _Set:
    firsts = [0, *(last + 1 for _, last in ranges)]
    lasts = [*(first - 1 for first, _ in ranges), _LAST]
    return tuple((first, last) for first, last in zip(firsts, lasts, strict=True) if first <= last)


def _meet(left: _Set, right: _Set) -> bool:
    return any(first <= end and begin <= last for first, last in left for begin, end in right)


#: What a dot takes.
_ANY = _without(((0x0A, 0x0A),))
