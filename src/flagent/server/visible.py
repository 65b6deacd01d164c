"""What holders of `client` keys may evaluate: flags that are marked client-visible, and nothing about their rules."""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from ..core.changes import Snapshot
from ..core.evaluation import Ruleset
from .gate import Access
from .hub import Hub
from .keys import KeyKind
from .results import Result


class Rules:
    """The ruleset that each kind of caller evaluates on."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._of: Snapshot | None = None
        self._visible: Ruleset | None = None

    def for_access(self, access: Access) -> Ruleset:
        """Return the newest ruleset, with the visible flags only if more is not for the caller."""
        ruleset = self._hub.ruleset
        if access.kind is not KeyKind.CLIENT:
            return ruleset
        snapshot = ruleset.snapshot
        if self._visible is None or self._of is not snapshot:
            flags = (flag for flag in snapshot.flags.values() if flag.client_visible)
            part = Snapshot.of(snapshot.epoch, snapshot.revision, flags)
            self._visible = Ruleset.compile(part) if self._visible is None else self._visible.replaced(part)
            self._of = snapshot
        return self._visible


def shown(result: Result, access: Access) -> Result:
    """Return what the caller may see of a result: for a `client` key no segment, no tag and no log."""
    if access.kind is not KeyKind.CLIENT:
        return result
    return replace(result, segment_id=None, flag_tags=(), eval_debug_log=UNSET)
