"""The flags as this process holds them: one reference that evaluation reads and the network work replaces.

Any thread may read; only the event loop that does the network work writes, so there is no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..errors import Diverged
from .logger import logger
from .states import Source

if TYPE_CHECKING:
    from ..core.changes import Change, Cursor, Delta, Snapshot
    from ..core.compiled import Decider
    from ..core.evaluation import Ruleset
    from ..wire.updates import Checkpoint

Updated = Callable[["Ruleset | None", "Ruleset", Iterable[str] | None], object]


class Replica:
    """A ruleset, and how far it can be trusted.

    Args:
        clock: gives seconds that never go back.

    Attributes:
        updated: called with the ruleset before, the one after, and the keys that may differ (None for any);
            it must return at once. None for nobody.
        ruleset: what is evaluated; None before the first snapshot.
        ready: of the ruleset, what decides for flags that were evaluated before (`Ruleset.ready`); evaluation asks it
            first.
        confirmed_at: when the ruleset was last known to be current, on the clock; None when never.
        source: where the ruleset came from last.
        divergences: how often an update did not lead to the digest it announces; must stay 0.
    """

    __slots__ = (
        "_clock",
        "_entity_tag",
        "_partial",
        "_replaced",
        "_suspect",
        "_tagged",
        "confirmed_at",
        "divergences",
        "ready",
        "ruleset",
        "source",
        "updated",
    )

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.updated: Updated | None = None
        self.divergences = 0
        self.clear()

    def clear(self) -> None:
        """Hold nothing."""
        self.hold(None)
        self.confirmed_at: float | None = None
        self.source: Source | None = None
        self._entity_tag: str | None = None
        self._tagged: Cursor | None = None
        # After a filtered stream the revision is new, but flags outside of the filter may be older.
        self._partial = False
        # For which cursor the server had another digest, and whether a snapshot was loaded since.
        self._suspect: Cursor | None = None
        self._replaced = False

    def hold(self, ruleset: Ruleset | None) -> None:
        """Let this be what is evaluated, and nothing else change."""
        self.ruleset = ruleset
        self.ready: dict[str, Decider] = {} if ruleset is None else ruleset.ready

    @property
    def cursor(self) -> Cursor | None:
        """From where a stream can go on; None when only a whole snapshot helps."""
        return None if self.ruleset is None or self._partial else self.ruleset.snapshot.cursor

    @property
    def entity_tag(self) -> str | None:
        """What to send as `If-None-Match`; None when nothing is held that a server could confirm.

        A server's tag names the cursor of the snapshot, so that it can be moved on with the changes
        that were applied since. If one doesn't, the worst is a download that was not needed.
        """
        cursor = self.cursor
        if self._entity_tag is None or cursor is None or self._tagged is None:
            return self._entity_tag
        return self._entity_tag.replace(str(self._tagged), str(cursor))

    def age(self) -> float | None:
        """Return the seconds since the flags were last known to be current, or None without flags."""
        confirmed_at = self.confirmed_at
        return None if self.ruleset is None or confirmed_at is None else max(0.0, self._clock() - confirmed_at)

    def now(self) -> float:
        """Return the time on the clock."""
        return self._clock()

    def confirm(self, source: Source | None = None, *, age: float = 0.0) -> None:
        """Note that the flags were current `age` seconds ago, and who says so."""
        self.confirmed_at = self._latest(self._clock() - age)
        if source is not None and self.ruleset is not None:
            self.source = source

    def replace(self, ruleset: Ruleset, entity_tag: str | None, *, age: float = 0.0) -> bool:
        """Hold a whole snapshot from now on, unless a newer one of the same log is held already.

        Args:
            ruleset: the snapshot.
            entity_tag: the server's name for it, or None.
            age: seconds for which it may have been out of date already.

        Returns:
            Whether it is held now.
        """
        held, snapshot, confirmed_at = self.ruleset, ruleset.snapshot, self._clock() - age
        if held is not None and _is_older(snapshot, held.snapshot):
            return False
        if held is not None and held.snapshot.epoch == snapshot.epoch:
            confirmed_at = self._latest(confirmed_at)
        elif held is not None:
            logger().warning("the server's log is another one now: %s after %s", snapshot.cursor, held.snapshot.cursor)
        self.hold(ruleset)
        self._entity_tag, self._tagged = entity_tag, snapshot.cursor
        self._partial, self._replaced = False, True
        self.source = Source.BOOTSTRAP if held is None else Source.POLL
        self.confirmed_at = confirmed_at
        if self.updated is not None:
            self.updated(held, ruleset, None)
        return True

    def restore(self, ruleset: Ruleset, entity_tag: str | None, age: float) -> None:
        """Hold a snapshot from disk, which was current `age` seconds ago."""
        self.hold(ruleset)
        self._entity_tag, self._tagged = entity_tag, ruleset.snapshot.cursor
        self.source = Source.DISK
        self.confirmed_at = self._clock() - age

    def apply(self, update: Change | Delta, cursor: Cursor, *, verify: bool, partial: bool) -> None:
        """Apply an update of a stream; one that is known already is passed over.

        Args:
            update: what changed.
            cursor: where it leads to.
            verify: whether the digest of the update is one of what is held then.
            partial: whether the stream leaves out changes of flags that are held.

        Raises:
            Diverged: the result is not what the server has; nothing was applied.
        """
        held = self.ruleset
        if held is None or held.snapshot.epoch != cursor.epoch:
            raise Diverged(f"nothing is held that {cursor} could follow")
        if cursor.revision <= held.snapshot.revision:
            return
        try:
            ruleset = held.after(update, verify=verify and not self._partial)
        except Diverged:
            self.divergences += 1
            raise
        self.hold(ruleset)
        self._partial = self._partial or partial
        self.source = Source.STREAM
        if self.updated is not None:
            self.updated(held, ruleset, held.snapshot.keys_in(update))

    def check(self, checkpoint: Checkpoint) -> None:
        """Compare with what the server says it has.

        Raises:
            Diverged: it is not what is held. Once a snapshot was loaded because of that, it is not said again for
                the same cursor: more of them would not help.
        """
        held = self.ruleset
        if held is None or self._partial or held.snapshot.cursor != checkpoint.cursor:
            return
        if held.snapshot.digest == checkpoint.digest or (self._suspect == checkpoint.cursor and self._replaced):
            return
        self._suspect, self._replaced = checkpoint.cursor, False
        self.divergences += 1
        raise Diverged(f"{checkpoint.cursor}: what is held has another digest than what the server has")

    def _latest(self, at: float) -> float:
        # An answer that came late says nothing against what was said since it was asked for.
        return at if self.confirmed_at is None else max(self.confirmed_at, at)


def _is_older(snapshot: Snapshot, held: Snapshot) -> bool:
    return snapshot.epoch == held.epoch and snapshot.revision < held.revision
