"""What an SDK holds: the newest ruleset, when it was last known to be current, and how updates change it.

No I/O here. One reference, `ruleset`, is all that evaluation reads; it is replaced in one assignment,
so readers in any thread see the state before or the state after an update, and never a mixture.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ..core.changes import Change, Cursor, Delta, Snapshot
from ..core.evaluation import Ruleset
from ..errors import Diverged
from ..wire.feed import Checkpoint, Update

_log = logging.getLogger("flagent.replica")


class Replica:
    """The state that all parts of one manager share.

    Attributes:
        ruleset: what is evaluated; None while there is nothing, and in a forked child until its first use.
        fetched_at: monotonic time at which it was last known to be the server's newest state.
        etag: tag of the snapshot that was fetched last, while it is what is held.
    """

    def __init__(self) -> None:
        self.ruleset: Ruleset | None = None
        self.fetched_at: float | None = None
        self.etag: str | None = None
        self._inherited: Ruleset | None = None
        self._wake: Callable[[], None] | None = None

    @property
    def cursor(self) -> Cursor | None:
        """The cursor of what is held; None for nothing, or for what a plain Flagent server sent."""
        snapshot = self.snapshot
        return snapshot.cursor if snapshot is not None and snapshot.epoch else None

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that is held."""
        ruleset = self.revived()
        return None if ruleset is None else ruleset.snapshot

    def put(self, snapshot: Snapshot, etag: str | None) -> bool:
        """Take a whole snapshot; return False, and keep what is held, if it is an older one.

        Another epoch is another log, made when a backup was restored: it is taken whatever its revision.
        """
        held = self.ruleset
        if held is None:
            self.ruleset = Ruleset.compile(snapshot)
        else:
            old = held.snapshot
            if snapshot.epoch and snapshot.epoch == old.epoch and snapshot.revision < old.revision:
                _log.info("passed over the snapshot %s, which is older than %s", snapshot.cursor, old.cursor)
                return False
            if old.epoch and snapshot.epoch != old.epoch:
                _log.warning("the server's log is another one: %s after %s", snapshot.cursor, old.cursor)
            self.ruleset = held.replaced(snapshot)
        self.etag = etag
        self.confirm()
        return True

    def apply(self, update: Update, *, verify: bool) -> None:
        """Take an update that follows what is held.

        Args:
            update: what the feed handed out.
            verify: whether the digest of the result has to be the announced one.

        Raises:
            Diverged: it leads elsewhere; what was held is kept.
        """
        ruleset = self.ruleset
        if ruleset is None:
            raise Diverged("an update came before the snapshot that it follows")
        if isinstance(update, (Change, Delta)):
            self.ruleset = ruleset.after(update, verify=verify)
            # The tag belongs to the state before.
            self.etag = None
        elif isinstance(update, Checkpoint) and _contradicts(update, ruleset.snapshot):
            raise Diverged(f"at {update.cursor} the server's digest is another one")
        self.confirm()

    def confirm(self) -> None:
        """Note that what is held is, at this moment, the server's newest state."""
        self.fetched_at = time.monotonic()

    def clear(self) -> None:
        """Forget everything."""
        self.ruleset = self._inherited = self.fetched_at = self.etag = None

    def sleep(self, wake: Callable[[], None]) -> None:
        """Put what is held aside until it is first used; then call `wake` once. For a forked child."""
        self._inherited, self.ruleset = self.ruleset or self._inherited, None
        self._wake = wake

    def revived(self) -> Ruleset | None:
        """Return the ruleset, after waking up what slept."""
        wake, self._wake = self._wake, None
        if wake is not None:
            self.ruleset, self._inherited = self._inherited, None
            wake()
        return self.ruleset


def _contradicts(checkpoint: Checkpoint, snapshot: Snapshot) -> bool:
    return checkpoint.cursor == snapshot.cursor and checkpoint.digest != snapshot.digest
