"""Who may want a change: an index over filters, so that those who do not want it cost nothing.

What it finds may still let nothing pass: only one kind of condition of a filter is looked at.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from .filters import Filter
from .frames import Frame

T = TypeVar("T", bound=Hashable)


class Interests(Generic[T]):
    """Holders of filters, by what the filters name."""

    def __init__(self) -> None:
        self._unconditional: dict[T, None] = {}
        # By a flag's key, id or tag; texts of keys and of tags may be the same.
        self._named: dict[tuple[str, str | int], dict[T, None]] = {}

    def add(self, holder: T, wanted: Filter) -> None:
        """Let `holder` be found by its filter."""
        names = _names(wanted)
        if names is None:
            self._unconditional[holder] = None
            return
        for name in names:
            self._named.setdefault(name, {})[holder] = None

    def remove(self, holder: T, wanted: Filter) -> None:
        """Let `holder`, which was added with that filter, be found no more."""
        names = _names(wanted)
        if names is None:
            del self._unconditional[holder]
            return
        for name in names:
            holders = self._named[name]
            del holders[holder]
            if not holders:
                del self._named[name]

    def concerned(self, frames: Iterable[Frame]) -> list[T]:
        """Return whoever may want one of the changes, each once."""
        found = dict(self._unconditional)
        if self._named:
            names = dict.fromkeys(name for frame in frames for name in _names_of(frame))
            for name in names:
                found.update(self._named.get(name, ()))
        return list(found)


def _names(wanted: Filter) -> list[tuple[str, str | int]] | None:
    """Return by what a filter can be found; None for one without conditions."""
    kinds = (("key", wanted.keys), ("id", wanted.ids), ("tag", wanted.tags))
    given = [[(kind, name) for name in names] for kind, names in kinds if names is not None]
    if not given:
        return None
    # When all conditions have to be met, any of them finds the filter; keys and ids are the rarest.
    return [name for names in given for name in names] if wanted.any_kind else given[0]


def _names_of(frame: Frame) -> Iterator[tuple[str, str | int]]:
    for key in frame.keys:
        yield "key", key
    yield "id", frame.change.flag_id
    for tag in frame.tags:
        yield "tag", tag
