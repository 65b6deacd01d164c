"""What streams of different entities have in common: entities are many, and what a flag can answer is little.

Whatever two of them would work out in the same way is worked out once for each revision: which flags a stream is about
and what decides them, which of these a change concerns and what decided before it, and results as they are written.
What is left for each entity is to call what decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec import Raw, Struct

from ..core.changes import Cursor
from ..core.compiled import Decider, decider
from ..core.evaluation import EvalResult, absent
from ..core.model import Flag
from ..wire.encodings import Encoding
from ..wire.results import EntityResult, EntityUpdate
from .filters import EVERYTHING, Filter
from .frames import Frame
from .hub import Hub

#: The most of each kind that is kept of one revision.
_MOST_KEPT = 10_000
#: Flags for which what decides is made before others on the event loop have a turn: some milliseconds.
_MADE_AT_ONCE = 100


class View(Struct, frozen=True):
    """What a stream is about.

    Attributes:
        wanted: of which flags.
        visible_only: whether only flags that are marked client-visible exist for it.
    """

    wanted: Filter
    visible_only: bool

    def decider(self, flag: Flag, decide: Decider) -> Decider:
        """Return what decides a flag that passes: there is none for who may not see it."""
        return decide if flag.client_visible or not self.visible_only else absent(flag.key)

    def passes(self, flag: Flag) -> bool:
        """Return whether the stream is about the flag as it is."""
        return self.wanted is EVERYTHING or self.wanted.passes_flag(flag)


class Turn(NamedTuple):
    """What a key stood for before some changes, and what it stands for now."""

    before: Decider
    after: Decider


class Answers:
    """The answers at the newest revision.

    Args:
        hub: has the rules.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._newest = AnswersAt(hub)

    def newest(self) -> AnswersAt:
        """Return them; they stay those of this revision."""
        if self._newest.cursor is not self._hub.cursor:
            self._newest = AnswersAt(self._hub)
        return self._newest


class AnswersAt:
    """The answers at one revision.

    Attributes:
        cursor: the revision.
    """

    __slots__ = ("_deciders", "_hub", "_parts", "_ruleset", "_turns", "_updates", "cursor")

    def __init__(self, hub: Hub) -> None:
        self.cursor = hub.cursor
        self._hub = hub
        self._ruleset = hub.ruleset
        self._deciders: dict[View, Sequence[Decider]] = {}
        self._turns: dict[tuple[Cursor, View], list[Turn] | None] = {}
        # By the identity of results, which are shared (`core.compiled`) and kept beside.
        self._parts: dict[Encoding, dict[int, tuple[EvalResult, Raw]]] = {}
        self._updates: dict[tuple[Encoding, int, int], tuple[EvalResult, EvalResult, bytes]] = {}

    def known(self, view: View) -> Sequence[Decider] | None:
        """Return what decides each flag that a stream is about, and each key that it asked for in vain, if it is known.

        It is once `found` has come to its end.
        """
        return self._deciders.get(view)

    def found(self, view: View) -> Iterator[Sequence[Decider]]:
        """Yield the same bit by bit: where a flag was not asked for before, what decides it is made now."""
        decider_of, about = self._ruleset.decider, self._about(view)
        found: list[Decider] = []
        for begin in range(0, len(about), _MADE_AT_ONCE):
            some = about[begin : begin + _MADE_AT_ONCE]
            made = [absent(key) if flag is None else view.decider(flag, decider_of(key)) for key, flag in some]
            found += made
            yield made
        if len(self._deciders) < _MOST_KEPT:
            self._deciders[view] = found

    def parts(self, encoding: Encoding, results: Iterable[EvalResult]) -> list[Raw]:
        """Return results as they stand among each other."""
        known = self._parts.setdefault(encoding, {})
        found = []
        for result in results:
            made = known.get(id(result))
            if made is None:
                made = result, encoding.part(_shown(result))
                if len(known) < _MOST_KEPT:
                    known[id(result)] = made
            found.append(made[1])
        return found

    def update(self, encoding: Encoding, before: EvalResult, after: EvalResult) -> bytes:
        """Return the message that tells a result of now; nothing if it is the same as before."""
        place = encoding, id(before), id(after)
        found = self._updates.get(place)
        if found is None:
            shown = _shown(after)
            message = b""
            if shown != _shown(before):
                message = encoding.encode(EntityUpdate(str(self.cursor), shown), self.cursor)
            found = before, after, message
            if len(self._updates) < _MOST_KEPT:
                self._updates[place] = found
        return found[2]

    def turns_after(self, cursor: Cursor, view: View) -> list[Turn] | None:
        """Return what became of each key since `cursor`, or None when that is not in memory any more.

        Only for the newest revision.
        """
        place = cursor, view
        if place in self._turns:
            return self._turns[place]
        missed = self._hub.frames_after(cursor)
        found = None if missed is None else self._turned(missed, view)
        if len(self._turns) < _MOST_KEPT:
            self._turns[place] = found
        return found

    def _about(self, view: View) -> list[tuple[str, Flag | None]]:
        """Return the flags that a stream is about, by key, and None for keys that it asked for in vain."""
        wanted, flags = view.wanted, self._ruleset.snapshot.flags
        if wanted.keys is not None and wanted.ids is None and wanted.tags is None:
            return [(key, flags.get(key)) for key in sorted(wanted.keys)]
        return [
            (flag.key, flag)
            for flag in flags.values()
            if view.passes(flag) and (flag.client_visible or not view.visible_only)
        ]

    def _turned(self, missed: Iterable[Frame], view: View) -> list[Turn]:
        """Return what became of keys: a flag that was renamed is gone under one and new under another."""
        # The first frame of a flag knows what it was, and the present is what it is.
        first: dict[int, Frame] = {}
        for frame in missed:
            if frame.passes(view.wanted):
                first.setdefault(frame.change.flag_id, frame)
        before: dict[str, Decider] = {}
        after: dict[str, Decider] = {}
        for flag_id, frame in first.items():
            old, new = frame.before, self._ruleset.snapshot.by_id(flag_id)
            # One that did not pass before was never told of.
            if old is not None and view.passes(old):
                before[old.key] = view.decider(old, decider(old))
                after.setdefault(old.key, absent(old.key))
            if new is not None and view.passes(new):
                after[new.key] = view.decider(new, self._ruleset.decider(new.key))
        return [Turn(before.get(key) or absent(key), decide) for key, decide in after.items()]


def _shown(result: EvalResult) -> EntityResult:
    return EntityResult(
        result.flag_key, result.flag_id, result.variant_key, result.variant_attachment, result.reason.value
    )
