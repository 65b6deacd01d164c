"""From one state to the next: the change as a frame, and the ruleset that it leads to.

A step can be made ahead, while the change that leads there is still on its way to the disk.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from ..core.changes import Change, Snapshot
from ..core.evaluation import Ruleset
from ..core.ids import Ids
from ..errors import Diverged
from .clocks import clock_ms
from .frames import Frame

_log = logging.getLogger("flagent.hub")

#: Milliseconds after which a frame's clock says too little of when the change was there to be read.
_FRESH = 50


class Step(NamedTuple):
    """A change for readers, the ruleset that it leads to, and the largest ids ever given out then."""

    frame: Frame
    ruleset: Ruleset
    ids: Ids


class Steps:
    """Makes steps; at most one ahead, which is of no consequence if its change never comes.

    Attributes:
        divergences: how often a change did not lead to the digest it announces; must stay 0.
    """

    def __init__(self) -> None:
        self.divergences = 0
        self._begun_at: Ruleset | None = None
        self._ahead: Step | None = None

    def prepare(self, ruleset: Ruleset, ids: Ids, change: Change, snapshot: Snapshot, like: Frame | None) -> None:
        """Make the step from `ruleset` to a snapshot, with the forms that readers asked for of the frame `like`."""
        ahead = _step(ruleset, change, ruleset.leading_to(snapshot, change), ids.after((change,)))
        for encoding in () if like is None else like.encodings:
            ahead.frame.encoded(encoding)
        self._begun_at, self._ahead = ruleset, ahead

    def step(self, ruleset: Ruleset, ids: Ids, change: Change) -> Step:
        """Return the step from `ruleset` and `ids` by a change of the log that is known from now on."""
        ahead = self._ahead if self._begun_at is ruleset else None
        self._begun_at = self._ahead = None
        if ahead is None or ahead.frame.change is not change:
            return _step(ruleset, change, self._after(ruleset, change), ids.after((change,)))
        if clock_ms() - (ahead.frame.clock or 0) > _FRESH:
            return _step(ruleset, change, ahead.ruleset, ahead.ids)
        return ahead

    def _after(self, ruleset: Ruleset, change: Change) -> Ruleset:
        try:
            return ruleset.after(change)
        except Diverged as exc:
            # The log is the truth: what it says is served, and every client that checks finds out as well.
            self.divergences += 1
            _log.error("the log contradicts itself, %s %r: %s", change.type, change.flag_key, exc)
            return ruleset.after(change, verify=False)


def _step(ruleset: Ruleset, change: Change, following: Ruleset, ids: Ids) -> Step:
    snapshot = ruleset.snapshot
    return Step(Frame(snapshot.epoch, change, snapshot.by_id(change.flag_id), clock_ms()), following, ids)
