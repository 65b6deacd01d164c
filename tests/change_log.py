"""A change log in memory, for tests of what reads one."""

from __future__ import annotations

from collections.abc import Sequence

from flagent.core.changes import Change, EventType, Snapshot
from flagent.core.edits import Edit, stamp
from flagent.core.ids import Ids
from flagent.core.model import Flag, Tag
from flagent.server.storage import Stored

EPOCH = "e1"


def flag(flag_id: int, key: str, *, tags: Sequence[str] = (), enabled: bool = True, description: str = "") -> Flag:
    """Return a flag; a tag's id follows from its text."""
    labels = tuple(Tag(sum(text.encode()), text) for text in tags)
    return Flag(id=flag_id, key=key, tags=labels, enabled=enabled, description=description)


class Log:
    """Makes changes that follow each other.

    Attributes:
        snapshot: the state after the last of them.
        changes: all of them.
    """

    def __init__(self, *flags: Flag, revision: int = 0) -> None:
        self.snapshot = Snapshot.of(EPOCH, revision, flags)
        self.changes: list[Change] = []

    def stored(self) -> Stored:
        """Return what a server starts from now, without tombstones."""
        return Stored(self.snapshot, Ids().after(self.changes), (), self.snapshot.revision)

    def put(self, new: Flag, type: EventType = EventType.FLAG_UPDATED) -> Change:
        """Create or change a flag."""
        return self._append(Edit(new, type))

    def delete(self, flag_id: int) -> Change:
        """Delete a flag."""
        old = self.snapshot.by_id(flag_id)
        assert old is not None
        return self._append(Edit(old, EventType.FLAG_DELETED))

    def _append(self, edit: Edit) -> Change:
        (change,), self.snapshot = stamp(self.snapshot, [edit], actor=None, now_ms=1_700_000_000_000)
        self.changes.append(change)
        return change
