"""A writer's turn, for one that others were faster than."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ...core.changes import Change
from ...core.ids import Ids


class Turn:
    """A transaction that keeps every other writer, of any process, away until it ends.

    Attributes:
        revision: the newest one; it stays so until this turn appends.
        append: writes changes that follow it, as `Storage.append` does.
    """

    def __init__(self, revision: int, append: Callable[[Sequence[Change], Ids], Awaitable[None]]) -> None:
        self.revision = revision
        self.append = append
