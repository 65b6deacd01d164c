"""Opening a stream of changes: may it be, where does its reader stand, and what is it told first."""

from __future__ import annotations

import math
import random
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from ..core.changes import Cursor, digest_text
from ..wire.codec import PROTOCOL, Connected
from ..wire.encodings import COMPATIBLE, Encoding, Messages
from . import asgi, replay
from .admission import Admission
from .broadcast import Broadcaster
from .clocks import clock_ms, now_ms
from .filters import Filter
from .hub import Bridge, Hub
from .readers import ChangeReader, CompatibleReader
from .settings import Settings
from .storage import Storage

_MESSAGE = "Connected to Flagent realtime updates"
#: How a reader's bridge is called in the greeting: it need not know whether changes come one by one.
RESUME = {
    Bridge.CURRENT: "current",
    Bridge.CHANGES: "changes",
    Bridge.SYNC: "changes",
    Bridge.RESYNC: "resync",
}
#: A cursor of nobody's log.
UNKNOWN = Cursor("", 0)
#: The longest time in seconds after which a client that found the server full shall try again.
_MAX_RETRY = 5


class Start(NamedTuple):
    """Where a request wants to start.

    Attributes:
        wanted: which flags.
        after: the cursor that the reader has; empty for none.
        since: a moment, used without `after`; empty for none.
    """

    wanted: Filter
    after: str = ""
    since: str = ""

    @property
    def replays(self) -> bool:
        """Whether what it begins with has to be read from the log."""
        return bool(self.since) and not self.after


class Opening:
    """Lets streams begin; `opened` is called for each with how its cursor was answered.

    Attributes:
        broadcaster: serves what was opened.
        admission: how many may be opened in a second.
    """

    def __init__(
        self, hub: Hub, storage: Storage, broadcaster: Broadcaster, settings: Settings, opened: Callable[[str], None]
    ) -> None:
        self.broadcaster = broadcaster
        self.admission = Admission(settings.open_rate)
        self._hub = hub
        self._storage = storage
        self._settings = settings
        self._opened = opened
        # What was said last, and when: streams that are opened within a millisecond are told the same.
        self._greetings: dict[tuple[Encoding, str, bool], tuple[int, Cursor, Messages]] = {}
        self._node = settings.node or socket.gethostname()

    def check(self) -> None:
        """See whether one more stream may be open.

        Raises:
            Refusal: 503; clients that come together are asked to come back apart.
        """
        if self.broadcaster.draining:
            raise asgi.unavailable("this server is being stopped", random.randint(1, _MAX_RETRY))  # noqa: S311
        if len(self.broadcaster) >= self._settings.max_streams:
            said = f"{self._settings.max_streams} streams are open, which is all that this server takes"
            raise asgi.unavailable(said, random.randint(1, _MAX_RETRY))  # noqa: S311

    def admit(self) -> None:
        """See whether one more stream may be opened at this moment, and count it.

        Raises:
            Refusal: 503, as `check` does, or with a moment of its own to come back.
        """
        self.check()
        wait = self.admission.wait(time.monotonic())
        if wait:
            raise asgi.unavailable("too many streams are being opened at this moment", math.ceil(wait))

    async def changes(self, start: Start, encoding: Encoding) -> tuple[ChangeReader | CompatibleReader, Messages]:
        """Return the reader of a stream of changes, and what it is told first.

        Raises:
            Refusal: 400, `since` names no moment.
            StorageUnavailable: the changes since a moment can't be read.
        """
        return await self._replayed(start, encoding) if start.replays else self.resumed(start, encoding)

    def resumed(self, start: Start, encoding: Encoding) -> tuple[ChangeReader | CompatibleReader, Messages]:
        """Return the same for a request that replays nothing, from memory."""
        compatible = encoding is COMPATIBLE
        known = (Cursor.parse(start.after) or UNKNOWN) if start.after else None
        at = self._hub.cursor if known is None or (compatible and known is UNKNOWN) else known
        resume = "none" if known is None else RESUME[self._hub.bridge(known, start.wanted)]
        self._opened("compatible" if compatible else resume)
        reader = self._reader(at, start.wanted, encoding, resumes=known is not None)
        return reader, self.greeting(encoding, resume)

    async def _replayed(self, start: Start, encoding: Encoding) -> tuple[ChangeReader | CompatibleReader, Messages]:
        beginning = await replay.begin(self._storage, replay.moment(start.since), self._settings.max_replay)
        if beginning.refusal:
            self._opened("resync")
            reader = self._reader(self._hub.cursor, start.wanted, encoding)
            greeting = self.greeting(encoding, "resync")
            return reader, encoding.joined((*greeting, *reader.restart(f"since {start.since}: {beginning.refusal}")))
        reader = self._reader(beginning.cursor, start.wanted, encoding)
        reader.catch_up = replay.Replay(self._storage, self._hub, reader, start.wanted, encoding)
        self._opened("replay")
        return reader, self.greeting(encoding, "changes")

    def _reader(
        self, cursor: Cursor, wanted: Filter, encoding: Encoding, *, resumes: bool = False
    ) -> ChangeReader | CompatibleReader:
        if encoding is COMPATIBLE:
            return CompatibleReader(self._hub, cursor, wanted)
        return ChangeReader(self._hub, cursor, wanted, encoding, resumes=resumes)

    def greeting(self, encoding: Encoding, resume: str, *, with_digest: bool = True) -> Messages:
        """Return `connected`: how the cursor was answered, and where the server is."""
        # Not even milliseconds old: by an earlier clock a reader would take itself for more current than it is.
        clock, cursor, place = clock_ms(), self._hub.cursor, (encoding, resume, with_digest)
        said = self._greetings.get(place)
        if said is None or said[0] != clock or said[1] is not cursor:
            connected = self._connected(encoding, resume, clock, with_digest=with_digest)
            said = self._greetings[place] = clock, cursor, encoding.joined((encoding.encode(connected),))
        return said[2]

    def _connected(self, encoding: Encoding, resume: str, clock: int, *, with_digest: bool) -> Connected:
        if encoding is COMPATIBLE:
            return Connected(message=_MESSAGE, timestamp=now_ms())
        return Connected(
            message=_MESSAGE,
            timestamp=now_ms(),
            protocol=PROTOCOL,
            revision=str(self._hub.cursor),
            digest=digest_text(self._hub.snapshot.digest) if with_digest else None,
            resume=resume,
            heartbeat_ms=round(self._settings.heartbeat * 1000),
            node=self._node,
            clock=clock,
        )
