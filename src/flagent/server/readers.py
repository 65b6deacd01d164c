"""What the streams of changes say: to readers that keep a snapshot, and to Flagent's own clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from typing import Self

from ..core.changes import Cursor
from ..wire.codec import Goodbye
from ..wire.encodings import COMPATIBLE, NOTHING, Encoding, Messages
from .clocks import now_ms
from .filters import EVERYTHING, Filter
from .hub import Bridge, Hub


class ChangeReader:
    """A reader of changes that carry their flags.

    Args:
        hub: has the changes.
        cursor: where the reader is.
        wanted: what it wants.
        encoding: how to write it.
        resumes: whether it was away; then what it missed is told as the net change if that is shorter.

    Attributes:
        cursor: where the reader is, by what it was told.
    """

    __slots__ = ("_encoding", "_hub", "_resumes", "_seen", "catch_up", "cursor", "wanted")
    compatible = False

    def __init__(self, hub: Hub, cursor: Cursor, wanted: Filter, encoding: Encoding, *, resumes: bool = False) -> None:
        self.cursor = self._seen = cursor
        self.catch_up: Callable[[], AsyncIterator[Messages]] | None = None
        self.wanted = wanted
        self._hub = hub
        self._encoding = encoding
        self._resumes = resumes

    @property
    def seen(self) -> Cursor:
        """Up to here the changes were looked at; those after `cursor` did not pass the filter."""
        return self._seen

    @property
    def alike(self) -> Hashable | None:
        """What it wants, and how it is written."""
        return self._encoding, self.wanted

    def copy(self) -> Self:
        """Return another reader that stands where this one does."""
        copied = type(self)(self._hub, self.cursor, self.wanted, self._encoding)
        copied.skip(self._seen)
        return copied

    def skip(self, cursor: Cursor) -> None:
        """Say that no change up to here passes the filter."""
        if self._seen.epoch == cursor.epoch and self._seen.revision < cursor.revision:
            self._seen = cursor

    def moved(self, cursor: Cursor) -> None:
        """Say that the reader was told everything up to here by other means."""
        self.cursor = self._seen = cursor

    def news(self) -> Messages:
        """Return the changes, or their net effect, or that only a snapshot helps."""
        start, wanted = self._seen, self.wanted
        if wanted is not EVERYTHING and self._hub.bridge(start, wanted) is Bridge.SYNC:
            # A net change has to start where the reader knows that it is.
            start = self.cursor
        news, self._seen = self._hub.read(start, wanted, self._encoding, resumes=self._resumes)
        self._resumes = False
        if news:
            self.cursor = self._seen
        return news

    def sign(self) -> Messages:
        """Return a heartbeat: a filter may have moved the cursor without a word, and it tells where the reader is."""
        # A reader that is ahead of us must not hear of an older cursor.
        if self._hub.is_ahead(self._seen):
            return self._encoding.comment
        self.cursor = self._seen
        return self._hub.heartbeat(self._encoding)

    def nudge(self) -> Messages:
        """Return nothing: what was missed is written anyway."""
        return NOTHING

    def restart(self, reason: str) -> Messages:
        """Return a `resync`; changes go on after it."""
        return self._hub.resync(self._encoding, reason)

    def goodbye(self, reason: str, reconnect_after_ms: int) -> Messages:
        """Return a `goodbye`."""
        return goodbye(self._encoding, reason, reconnect_after_ms)


class CompatibleReader:
    """One of Flagent's own clients: it loads the whole snapshot at each event, and knows nothing of cursors.

    Attributes:
        cursor: up to here it was told that something changed.
    """

    __slots__ = ("_hub", "catch_up", "cursor", "wanted")
    compatible = True

    def __init__(self, hub: Hub, cursor: Cursor, wanted: Filter) -> None:
        self.cursor = cursor
        self.catch_up: Callable[[], AsyncIterator[Messages]] | None = None
        self._hub = hub
        self.wanted = wanted

    @property
    def seen(self) -> Cursor:
        """The same as the cursor."""
        return self.cursor

    @property
    def alike(self) -> Hashable | None:
        """What it wants."""
        return COMPATIBLE, self.wanted

    def copy(self) -> Self:
        """Return another reader that stands where this one does."""
        return type(self)(self._hub, self.cursor, self.wanted)

    def skip(self, cursor: Cursor) -> None:
        """Say that no change up to here passes the filter."""
        if self.cursor.epoch == cursor.epoch and self.cursor.revision < cursor.revision:
            self.cursor = cursor

    def moved(self, cursor: Cursor) -> None:
        """Say that the reader was told everything up to here by other means."""
        self.cursor = cursor

    def news(self) -> Messages:
        """Return one event for each flag that changed."""
        news, self.cursor = self._hub.read_compatible(self.cursor, self.wanted, now_ms())
        return news

    def sign(self) -> Messages:
        """Return a comment."""
        return COMPATIBLE.comment

    def nudge(self) -> Messages:
        """Return an event that stands for whatever was missed before the stream was opened."""
        return self._hub.nudge(self.wanted, now_ms())

    def restart(self, reason: str) -> Messages:  # noqa: ARG002 - there is no place for it
        """Return an event that makes it load the snapshot."""
        return self.nudge()

    def goodbye(self, reason: str, reconnect_after_ms: int) -> Messages:  # noqa: ARG002 - it would not understand
        """Return nothing."""
        return NOTHING


def goodbye(encoding: Encoding, reason: str, reconnect_after_ms: int) -> Messages:
    """Return a `goodbye`."""
    return encoding.joined((encoding.encode(Goodbye(reason, reconnect_after_ms)),))
