"""What the streams of changes say: to readers that keep a snapshot, and to Flagent's own clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from ..core.changes import Cursor
from ..wire.codec import Goodbye
from ..wire.encodings import COMPATIBLE, NOTHING, Encoding, Messages
from .editor import now_ms
from .filters import EVERYTHING, Filter
from .hub import Bridge, Hub


class ChangeReader:
    """A reader of changes that carry their flags.

    Attributes:
        cursor: where the reader is, by what it was told.
    """

    __slots__ = ("_encoding", "_hub", "_seen", "_wanted", "catch_up", "cursor")
    compatible = False

    def __init__(self, hub: Hub, cursor: Cursor, wanted: Filter, encoding: Encoding) -> None:
        self.cursor = self._seen = cursor
        self.catch_up: Callable[[], AsyncIterator[Messages]] | None = None
        self._hub = hub
        self._wanted = wanted
        self._encoding = encoding

    @property
    def seen(self) -> Cursor:
        """Up to here the changes were looked at; those after `cursor` did not pass the filter."""
        return self._seen

    def moved(self, cursor: Cursor) -> None:
        """Say that the reader was told everything up to here by other means."""
        self.cursor = self._seen = cursor

    def news(self) -> Messages:
        """Return the changes, or their net effect, or that only a snapshot helps."""
        start, wanted = self._seen, self._wanted
        if wanted is not EVERYTHING and self._hub.bridge(start, wanted) is Bridge.SYNC:
            # A net change has to start where the reader knows that it is.
            start = self.cursor
        news, self._seen = self._hub.read(start, wanted, self._encoding)
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

    __slots__ = ("_hub", "_wanted", "catch_up", "cursor")
    compatible = True

    def __init__(self, hub: Hub, cursor: Cursor, wanted: Filter) -> None:
        self.cursor = cursor
        self.catch_up: Callable[[], AsyncIterator[Messages]] | None = None
        self._hub = hub
        self._wanted = wanted

    @property
    def seen(self) -> Cursor:
        """The same as the cursor."""
        return self.cursor

    def moved(self, cursor: Cursor) -> None:
        """Say that the reader was told everything up to here by other means."""
        self.cursor = cursor

    def news(self) -> Messages:
        """Return one event for each flag that changed."""
        news, self.cursor = self._hub.read_compatible(self.cursor, self._wanted, now_ms())
        return news

    def sign(self) -> Messages:
        """Return a comment."""
        return COMPATIBLE.comment

    def nudge(self) -> Messages:
        """Return an event that stands for whatever was missed before the stream was opened."""
        return self._hub.nudge(self._wanted, now_ms())

    def restart(self, reason: str) -> Messages:  # noqa: ARG002 - there is no place for it
        """Return an event that makes it load the snapshot."""
        return self.nudge()

    def goodbye(self, reason: str, reconnect_after_ms: int) -> Messages:  # noqa: ARG002 - it would not understand
        """Return nothing."""
        return NOTHING


def goodbye(encoding: Encoding, reason: str, reconnect_after_ms: int) -> Messages:
    """Return a `goodbye`."""
    return encoding.joined((encoding.encode(Goodbye(reason, reconnect_after_ms)),))
