r"""Patterns that are nothing but texts, which need no regular expression at all: `^/api/`, `@acme\.com$`, `^(DE|FR)$`.

Calling Python's `re` takes longer than all the rest of an evaluation, even where there is next to nothing to look for.
`$` is the end of the text and nothing else: RE2 does not stop before a newline that is the last character.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

#: The most texts of a set; and of those that are compared one after the other, which `re` does quicker from here on.
_MOST, _FEW = 100, 4


class Literal(NamedTuple):
    """A condition on a text, as source.

    Attributes:
        source: an expression, with `{v}` for the text and `{0}` for the constant.
        constant: what the text is compared with.
    """

    source: str
    constant: Any


def literal_of(parts: Sequence[tuple[str, ...]], *, anchored: bool, closed: bool) -> Literal | None:
    """Return the condition that a pattern is, or None if it is not one of these.

    Args:
        parts: what follows what: the texts that each part can be, all of them; none when they are not known.
        anchored: whether it begins with `^`.
        closed: whether it ends with `$`.
    """
    if prod(map(len, parts)) not in range(1, (_MOST if anchored and closed else _FEW) + 1):
        return None
    texts = tuple(map("".join, product(*parts)))
    only = texts[0] if len(texts) == 1 else None
    if anchored and closed:
        return Literal("{v} in {0}", frozenset(texts)) if only is None else Literal("{v} == {0}", only)
    if anchored or closed:
        return Literal("{v}.startswith({0})" if anchored else "{v}.endswith({0})", only or texts)
    return None if only is None else Literal("{0} in {v}", only)
