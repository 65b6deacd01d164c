"""What holds of a plain Flagent server, which knows neither revisions nor resuming.

Its export comes from a cache that it makes anew every three seconds, and that is empty when it starts. Many edits
have no event, and others end every stream. So its answers are looked at again a little later, an export that is
suddenly empty is not believed at once, and nothing but an export says that flags are current.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.changes import Snapshot

#: Seconds after an edit at which its export shows it for certain.
CACHE_AGE = 4.0


def is_plain(snapshot: Snapshot) -> bool:
    """Return whether a server's snapshot is that of a plain Flagent server."""
    return not snapshot.epoch


class EmptyExports:
    """Exports without flags: believed when they are still empty once the server's cache is certainly filled."""

    def __init__(self) -> None:
        self._since: float | None = None

    def believed(self, snapshot: Snapshot, held: Snapshot | None, now: float) -> bool:
        """Return whether an export says what the server has.

        Args:
            snapshot: what it says.
            held: what is held; None for nothing, which can't be lost.
            now: monotonic time in seconds.
        """
        if snapshot.flags or not is_plain(snapshot) or held is None or not held.flags:
            self._since = None
            return True
        if self._since is None:
            self._since = now
        return now - self._since >= CACHE_AGE
