"""What this process wrote last: the tail of its log, which asks for it at once, need not read it from the database."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.changes import Change


class Written:
    """The last changes that were written here, until others may have written."""

    def __init__(self) -> None:
        self._changes: Sequence[Change] = ()
        self._told = False

    def note(self, changes: Sequence[Change]) -> None:
        """Note an own commit, some moments after it was made."""
        self._changes = () if self._told else changes

    def told(self) -> None:
        """Hear that others may have written: whatever is noted until the database is read may not be the newest."""
        self._changes, self._told = (), True

    def read(self) -> None:
        """Note that the database is about to be read."""
        self._told = False

    def forget(self) -> None:
        """Know nothing, because the log is another one."""
        self._changes = ()

    def is_newest(self, revision: int) -> bool:
        """Whether this revision was written here, and nothing tells of a later one."""
        return bool(self._changes) and self._changes[-1].revision == revision

    def after(self, revision: int) -> Sequence[Change]:
        """Return the changes that follow `revision`; none where the database has to be asked."""
        return self._changes if self._changes and self._changes[0].revision == revision + 1 else ()
