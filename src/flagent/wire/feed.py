"""Following a change log, without doing any I/O.

A follower owns the socket, the clock and the sleeping. It asks the feed what to send, hands it what arrived, applies
the updates that come back, and waits as long as the feed says:

    request() → opened(status, …) → received(chunk, now)… → closed(now, error) → wait, and again

The cursor moves with every update handed out and never back within an epoch. A duplicate is dropped; anything that
doesn't follow the cursor is a gap, for which the feed asks for a snapshot (`NeedSnapshot`) and hands out nothing more
until `restarted`. Nothing here raises because of what a server sends: `failure` says that this connection is of no use
any more, after the updates that came before were handed out.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

from ..core.changes import Cursor
from ..errors import DecodeError, FlagentError, HTTPStatusError, StreamBroken
from . import sse
from .backoff import MAX_ASKED, Backoff, is_hopeless
from .events import PROTOCOL, Connected, Goodbye, Message, decode_event
from .exchange import StreamRequest, check_answer, seconds_of
from .readers import EventReader, Reader, SnapshotReader, is_known
from .updates import Checkpoint, NeedSnapshot, Update
from .vouching import Vouching

__all__ = ["Checkpoint", "Feed", "NeedSnapshot", "StreamRequest", "Update"]

#: Seconds for the first event after the headers; a proxy that buffers is found out by it.
HELLO_TIMEOUT = 10.0
#: Seconds that a stream has to live for its goodbye to count as no failure.
_PLANNED = 5.0
#: Heartbeats that may be missed before a stream counts as dead.
MISSED_HEARTBEATS = 2.5
#: Seconds of silence after which a stream of a plain Flagent server, which has no heartbeat, is renewed.
PLAIN_SILENCE = 600.0
#: Bad payloads in a row after which the snapshot is fetched instead of trying the same bytes again.
MAX_BAD_PAYLOADS = 3

_MIN_HEARTBEAT, _MAX_HEARTBEAT = 0.02, 300.0


class Feed:
    """The state of one follower.

    Args:
        cursor: what is held already; None for nothing.
        flag_keys: only changes of flags with one of these keys; empty for all.
        flag_ids: only changes of flags with one of these ids; empty for all.
        tags: only changes of flags with one of these tags; empty for all.
        events_only: hand out every event as it is, for a holder that keeps no snapshot: nothing has to
            fit then, and what can't be bridged is passed over and counted in `gaps`.
        base_delay: upper bound of the first wait, in seconds.
        max_delay: upper bound of any wait, in seconds.
        stable_after: seconds of health after which waits begin anew at the base.
        heartbeat: seconds between heartbeats, until the server says its own.
        max_event_bytes: limit on the size of an event.
        random: returns a number from 0 up to 1.

    Attributes:
        filtered: whether only some changes are asked for; digests can't be compared then.
        live: whether this connection began with `connected`.
        heartbeat: seconds for which the server is silent at most.
        protocol: version of the update protocol; 0 for a plain Flagent server, None before `connected`.
        failure: why this connection is of no use any more, or None.
    """

    def __init__(
        self,
        cursor: Cursor | None = None,
        *,
        flag_keys: Sequence[str] = (),
        flag_ids: Sequence[int] = (),
        tags: Sequence[str] = (),
        events_only: bool = False,
        base_delay: float = 1.0,
        max_delay: float = 30.0,
        stable_after: float = 60.0,
        heartbeat: float = 15.0,
        max_event_bytes: int = sse.MAX_EVENT_BYTES,
        random: Callable[[], float],
    ) -> None:
        self.filtered = bool(flag_keys or flag_ids or tags)
        self.live = False
        self.protocol: int | None = None
        self.failure: FlagentError | None = None
        kind = EventReader if events_only else SnapshotReader
        self._reader: Reader = kind(cursor, filtered=self.filtered)
        self._wanted = (flag_keys, flag_ids, tags)
        self.heartbeat = heartbeat
        self._max_event_bytes = max_event_bytes
        self._backoff = Backoff(base_delay=base_delay, max_delay=max_delay, stable_after=stable_after, random=random)
        self._parser = sse.Parser(max_event_bytes=max_event_bytes)
        self._goodbye: Goodbye | None = None
        self._asked_at: float | None = None
        self._opened_at: float | None = None
        self._seen_at = 0.0
        self._bad_payloads = 0
        self._awaiting_snapshot = False
        self._vouching = Vouching(0.0, 0.0)
        self._held: deque[sse.Event] = deque()

    @property
    def caught_up(self) -> bool:
        """Whether the holder has what the server had when it greeted us, and the server what the holder has.

        Of a filtered holder nobody can tell the first.
        """
        known = self.filtered or self._vouching.has_greeted(self.cursor)
        return known and not self._vouching.behind and not self._awaiting_snapshot

    @property
    def current(self) -> bool:
        """Whether it has caught up, and nothing is half read, or cut off by a failure or a goodbye."""
        return self.caught_up and not self._parser.in_event and self.failure is None

    @property
    def vouched_at(self) -> float | None:
        """The last moment for which this connection has said that the holder is current; None for none."""
        return self._vouching.at

    @property
    def cursor(self) -> Cursor | None:
        """How far the holder is; None for nothing."""
        return self._reader.cursor

    @property
    def duplicates(self) -> int:
        """How many updates were dropped because they were known already."""
        return self._reader.duplicates

    @property
    def gaps(self) -> int:
        """How often a holder of events alone missed something."""
        return self._reader.gaps

    @property
    def attempt(self) -> int:
        """How many tries in a row went wrong."""
        return self._backoff.failures

    def request(self, now: float | None = None) -> StreamRequest:
        """Return what the next connection asks for, which is made now; None for when its answer begins."""
        self._asked_at = now
        return StreamRequest.of(self.cursor, *self._wanted)

    def opened(self, status: int, content_type: str, now: float, *, retry_after: float | None = None) -> None:
        """Take the head of the answer.

        Args:
            status: HTTP status code.
            content_type: value of the header, or an empty text.
            now: monotonic time in seconds, here and everywhere.
            retry_after: seconds that the header of this name asks for.

        Raises:
            Refused: a new try helps only when key, address or server change.
            HTTPStatusError: the server can't serve now.
            StreamBroken: it answered with something that is no stream.
        """
        self._parser = sse.Parser(max_event_bytes=self._max_event_bytes)
        self._held.clear()
        self._awaiting_snapshot = False
        self.live = False
        self._goodbye = self.failure = self._opened_at = self.protocol = None
        self._vouching = Vouching(now if self._asked_at is None else self._asked_at, now)
        self._seen_at = now
        check_answer(status, content_type, retry_after)
        self._opened_at = now

    def received(self, chunk: bytes, now: float) -> list[Update]:
        """Return the updates that `chunk` completes; afterwards look at `failure`."""
        signs = self._parser.signs_of_life
        if not self._parser.in_event:
            self._vouching.begins(now)
        try:
            self._held.extend(self._parser.feed(chunk))
        except DecodeError as exc:
            self._reject(exc)
        if self._parser.signs_of_life != signs:
            self._seen_at = now
        in_event = self._parser.in_event
        updates = self._proceed(in_event=in_event)
        if in_event and self._parser.signs_of_life != signs:
            # What is under way now began in this chunk.
            self._vouching.begins(now)
        return updates

    def restarted(self, cursor: Cursor, now: float) -> list[Update]:
        """Say that the holder now has the snapshot of `cursor`; return the updates that waited for it."""
        self._reader.cursor = cursor
        # What the server had when it greeted us is in the snapshot, which may be of another log by now.
        self._vouching.greeted_at = None
        self._awaiting_snapshot = False
        self._bad_payloads = 0
        self._seen_at = max(self._seen_at, now)
        return self._proceed(in_event=self._parser.in_event)

    def moved(self, cursor: Cursor) -> None:
        """Say that the holder got to `cursor` by other means; older updates are duplicates from now on."""
        if not is_known(cursor, self.cursor):
            self._reader.cursor = cursor

    def diverged(self) -> None:
        """Say that the holder may not hold what was handed out: the next stream begins with a snapshot."""
        self._reader.cursor = None

    def deadline(self) -> float:
        """Return the monotonic time at which the stream is dead unless something complete arrives before."""
        if not self.live:
            # Comments don't count here: a server that sends nothing else is none of ours.
            return (self._seen_at if self._opened_at is None else self._opened_at) + HELLO_TIMEOUT
        if self.protocol and self.caught_up and self._vouching.at is not None:
            # Nor is a stream of any use that says something, but not that the holder is current.
            return self._vouching.at + self.patience
        return self._seen_at + self.patience

    @property
    def patience(self) -> float:
        """Seconds for which a live stream may be silent, and for which its holder may be stale."""
        return self.heartbeat * MISSED_HEARTBEATS + self._vouching.leeway if self.protocol else PLAIN_SILENCE

    def closed(self, now: float, error: Exception | None = None) -> float:
        """Say that the connection is over, or was never made; return the seconds to wait before the next."""
        if self._opened_at is not None and self.live:
            # A stream that died of silence was well until it fell silent.
            lived = (now if now < self.deadline() else self._seen_at) - self._opened_at
            # To be sent elsewhere is no trouble, but for a server that does nothing else.
            self._backoff.healthy_for(math.inf if self._goodbye is not None and lived >= _PLANNED else lived)
        self.live = False
        self._opened_at = None
        self._awaiting_snapshot = False
        self._held.clear()
        if self._goodbye is not None:
            asked: float | None = seconds_of(self._goodbye.reconnect_after_ms, 0.0, MAX_ASKED)
        else:
            asked = error.retry_after if isinstance(error, HTTPStatusError) else None
        retry_ms, self._parser.retry_ms = self._parser.retry_ms, None
        return self._backoff.next_delay(
            now, slow=is_hopeless(error), asked=asked, base_delay=None if retry_ms is None else retry_ms / 1000
        )

    def _proceed(self, *, in_event: bool) -> list[Update]:
        updates: list[Update] = []
        while self._held and not self._awaiting_snapshot and self.failure is None:
            event = self._held.popleft()
            try:
                message = decode_event(event.type, event.data)
                if message is not None:
                    updates.extend(self._take(message))
            except DecodeError as exc:
                self._reject(exc)
            except StreamBroken as exc:
                self.failure = exc
            self._vouching.settle(self.cursor, current=not in_event and self.failure is None)
        return updates

    def _reject(self, error: DecodeError) -> None:
        self._bad_payloads += 1
        self.failure = error

    def _take(self, message: Message) -> list[Update]:
        self._vouching.hear(message)
        if isinstance(message, Connected):
            updates = self._take_connected(message)
        elif not self.live:
            raise StreamBroken("the stream does not begin with `connected`", kind="protocol")
        elif isinstance(message, Goodbye):
            self._goodbye = message
            raise StreamBroken(f"the server said goodbye: {message.reason}", kind="goodbye")
        else:
            updates = self._reader.take(message)
        for update in updates:
            if isinstance(update, NeedSnapshot):
                self._awaiting_snapshot = True
            elif not isinstance(update, Checkpoint):
                self._bad_payloads = 0
        return updates

    def _take_connected(self, message: Connected) -> list[Update]:
        if message.protocol is not None and message.protocol > PROTOCOL:
            raise StreamBroken(
                f"the server speaks protocol {message.protocol}, this client {PROTOCOL}", kind="incompatible"
            )
        self.live = True
        self.protocol = message.protocol or 0
        if message.heartbeat_ms is not None:
            self.heartbeat = seconds_of(message.heartbeat_ms, _MIN_HEARTBEAT, _MAX_HEARTBEAT)
        quarantine = self._bad_payloads >= MAX_BAD_PAYLOADS
        updates = self._reader.begin(message, quarantine=quarantine)
        if quarantine and not updates:
            # There is no snapshot to wait for: what can't be read was passed over.
            self._bad_payloads = 0
        return updates
