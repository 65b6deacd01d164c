"""Following a change log, without doing any I/O.

A follower owns the socket, the clock and the sleeping. It asks the feed what to send, hands it
what arrived, applies the updates that come back, and waits as long as the feed says:

    request() → opened(status, …) → received(chunk, now)… → closed(now, error) → wait, and again

The cursor moves with every update handed out and never back within an epoch. A duplicate is
dropped; anything that doesn't follow the cursor is a gap, for which the feed asks for a snapshot
(`NeedSnapshot`) and hands out nothing more until `restarted`. Nothing here raises because of what
a server sends: `failure` says that this connection is of no use any more, after the updates that
came before were handed out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from ..core.changes import Change, Cursor, Delta, EventType, FlagRef
from ..core.model import Flag
from ..errors import DecodeError, FlagentError, HTTPStatusError, Refused, StreamBroken
from . import sse
from .backoff import SLOW_STATUSES, Backoff
from .events import PROTOCOL, Connected, FlagEvent, Goodbye, Heartbeat, Message, change_of, decode_event
from .views import parse_digest

#: Seconds for the first event after the headers; a proxy that buffers is found out by it.
HELLO_TIMEOUT = 10.0
#: Heartbeats that may be missed before a stream counts as dead.
MISSED_HEARTBEATS = 2.5
#: Seconds of silence after which a stream of a plain Flagent server, which has no heartbeat, is renewed.
PLAIN_SILENCE = 600.0
#: Bad payloads in a row after which the snapshot is fetched instead of trying the same bytes again.
MAX_BAD_PAYLOADS = 3

_MIN_HEARTBEAT, _MAX_HEARTBEAT = 0.02, 300.0


class StreamRequest(NamedTuple):
    """What to ask for: query parameters and headers of the stream's request."""

    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]


class NeedSnapshot(NamedTuple):
    """The gap can't be bridged here: fetch the snapshot, then call `restarted`."""

    reason: str


class Checkpoint(NamedTuple):
    """The server says what the digest is at a cursor; whoever holds another one has diverged."""

    cursor: Cursor
    digest: int


Update = Change | Delta | FlagEvent | NeedSnapshot | Checkpoint


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
        self.cursor = cursor
        self.filtered = bool(flag_keys or flag_ids or tags)
        self.live = False
        self.protocol: int | None = None
        self.failure: FlagentError | None = None
        self.duplicates = 0
        self.gaps = 0
        self._events_only = events_only
        self._query = (
            ("payload", "flag"),
            *(("flagKey", key) for key in flag_keys),
            *(("flagID", str(flag_id)) for flag_id in flag_ids),
            *(("tag", tag) for tag in tags),
        )
        self._heartbeat = heartbeat
        self._max_event_bytes = max_event_bytes
        self._backoff = Backoff(base_delay=base_delay, max_delay=max_delay, stable_after=stable_after, random=random)
        self._parser = sse.Parser(max_event_bytes=max_event_bytes)
        self._goodbye: Goodbye | None = None
        self._opened_at: float | None = None
        self._seen_at = 0.0
        self._bad_payloads = 0
        self._awaiting_snapshot = False
        self._held: deque[sse.Event] = deque()

    @property
    def attempt(self) -> int:
        """How many tries in a row went wrong."""
        return self._backoff.failures

    def request(self) -> StreamRequest:
        """Return what the next connection asks for."""
        resume = {} if self.cursor is None else {"Last-Event-ID": str(self.cursor)}
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store", "Accept-Encoding": "identity"}
        return StreamRequest(self._query, headers | resume)

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
        self._goodbye = self.failure = self._opened_at = self.protocol = None
        self._seen_at = now
        if status in SLOW_STATUSES:
            raise Refused(f"the stream was refused with HTTP {status}", status=status, retry_after=retry_after)
        if status != 200:
            raise HTTPStatusError(f"the stream answered HTTP {status}", status=status, retry_after=retry_after)
        if content_type.partition(";")[0].strip().lower() != "text/event-stream":
            raise StreamBroken(
                f"the answer is {content_type[:80]!r}, not 'text/event-stream': is this the address of a flag server?",
                kind="protocol",
            )
        self._opened_at = now

    def received(self, chunk: bytes, now: float) -> list[Update]:
        """Return the updates that `chunk` completes; afterwards look at `failure`."""
        lines = self._parser.lines
        try:
            self._held.extend(self._parser.feed(chunk))
        except DecodeError as exc:
            self._fail(exc)
        if self._parser.lines != lines:
            self._seen_at = now
        return self._proceed()

    def restarted(self, cursor: Cursor, now: float) -> list[Update]:
        """Say that the holder now has the snapshot of `cursor`; return the updates that waited for it."""
        self.cursor = cursor
        self._awaiting_snapshot = False
        self._bad_payloads = 0
        self._seen_at = max(self._seen_at, now)
        return self._proceed()

    def moved(self, cursor: Cursor) -> None:
        """Say that the holder got to `cursor` by other means; older updates are duplicates from now on."""
        self.cursor = self._later(cursor)

    def deadline(self) -> float:
        """Return the monotonic time at which the stream is dead unless something complete arrives before."""
        if not self.live:
            return self._seen_at + HELLO_TIMEOUT
        return self._seen_at + (self._heartbeat * MISSED_HEARTBEATS if self.protocol else PLAIN_SILENCE)

    def closed(self, now: float, error: Exception | None = None) -> float:
        """Say that the connection is over, or was never made; return the seconds to wait before the next."""
        if self._opened_at is not None:
            self._backoff.healthy_for(now - self._opened_at if self.live else 0.0)
        self.live = False
        self._opened_at = None
        self._awaiting_snapshot = False
        self._held.clear()
        if self._goodbye is not None:
            asked: float | None = self._goodbye.reconnect_after_ms / 1000
        else:
            asked = error.retry_after if isinstance(error, HTTPStatusError) else None
        retry_ms, self._parser.retry_ms = self._parser.retry_ms, None
        return self._backoff.next_delay(
            slow=isinstance(error, Refused), asked=asked, base_delay=None if retry_ms is None else retry_ms / 1000
        )

    def _proceed(self) -> list[Update]:
        updates: list[Update] = []
        while self._held and not self._awaiting_snapshot and self.failure is None:
            event = self._held.popleft()
            try:
                message = decode_event(event.type, event.data)
                if message is not None:
                    updates.extend(self._take(message))
            except DecodeError as exc:
                self._bad_payloads += 1
                self._fail(exc)
            except StreamBroken as exc:
                self._fail(exc)
        return updates

    def _fail(self, error: FlagentError) -> None:
        if self.failure is None:
            self.failure = error

    def _take(self, message: Message) -> list[Update]:
        if isinstance(message, Connected):
            return self._take_connected(message)
        if not self.live:
            raise StreamBroken("the stream does not begin with `connected`", kind="protocol")
        if isinstance(message, Goodbye):
            self._goodbye = message
            raise StreamBroken(f"the server said goodbye: {message.reason}", kind="goodbye")
        if isinstance(message, FlagEvent):
            return self._take_event(message)
        if isinstance(message, Delta):
            return self._take_delta(message)
        if isinstance(message, Heartbeat):
            return self._take_heartbeat(message)
        # A holder of events alone has learned of the gap from `connected`; and a snapshot that was
        # fetched since, because `connected` asked for it, has answered this already.
        asked, held = Cursor.parse(message.revision), self._held_cursor()
        answered = asked is not None and asked.epoch == held.epoch and asked.revision <= held.revision
        return [] if self._events_only or answered else self._need_snapshot(message.reason or "resync")

    def _take_connected(self, message: Connected) -> list[Update]:
        if message.protocol is not None and message.protocol > PROTOCOL:
            raise StreamBroken(
                f"the server speaks protocol {message.protocol}, this client {PROTOCOL}", kind="protocol"
            )
        self.live = True
        self.protocol = message.protocol or 0
        if message.heartbeat_ms is not None:
            self._heartbeat = min(max(message.heartbeat_ms / 1000, _MIN_HEARTBEAT), _MAX_HEARTBEAT)
        if self._events_only:
            return self._begin_events(message)
        if not self.protocol:
            # A plain Flagent server never says what was missed: every connection begins with a refresh.
            return self._need_snapshot("connected to a plain Flagent server")
        if self.cursor is None or message.resume in (None, "none", "resync"):
            return self._need_snapshot("start" if self.cursor is None else "resync")
        if self._bad_payloads >= MAX_BAD_PAYLOADS:
            return self._need_snapshot("quarantine")
        return self._checkpoint(Cursor.parse(message.revision), message.digest) if message.resume == "current" else []

    def _take_event(self, event: FlagEvent) -> list[Update]:
        if self._events_only or not self.protocol:
            return self._pass_on(event)
        following = change_of(event)
        if following is None:
            raise DecodeError(f"event {event.type}: it names no flag or no revision")
        cursor, change = following
        held = self._held_cursor()
        if cursor.epoch == held.epoch and cursor.revision <= held.revision:
            self.duplicates += 1
            return self._checkpoint(cursor, event.digest) if cursor == held else []
        if cursor.epoch != held.epoch or not (self.filtered or cursor.revision == held.revision + 1):
            return self._need_snapshot(f"gap: {cursor} does not follow {held}")
        return [self._advanced(cursor, change)]

    def _pass_on(self, event: FlagEvent) -> list[Update]:
        cursor = Cursor.parse(event.revision)
        if cursor is not None and cursor == self._later(cursor):
            if cursor == self.cursor:
                self.duplicates += 1
                return []
            self.cursor = cursor
        return [event]

    def _begin_events(self, message: Connected) -> list[Update]:
        if self.cursor is None or message.resume in ("none", "resync"):
            self.gaps += self.cursor is not None
            self.cursor = Cursor.parse(message.revision)
        return []

    def _take_delta(self, delta: Delta) -> list[Update]:
        if self._events_only:
            self.cursor = delta.cursor
            there = {flag.id for flag in delta.flags}
            gone = (ref for ref in delta.deleted if ref.id not in there)
            return [*map(_event_of_flag, delta.flags), *map(_event_of_deletion, gone)]
        held = self._held_cursor()
        if delta.cursor.epoch == held.epoch and delta.cursor.revision <= held.revision:
            self.duplicates += 1
            return []
        if delta.origin != held or delta.cursor.epoch != held.epoch:
            return self._need_snapshot(f"gap: the update from {delta.origin} does not follow {held}")
        return [self._advanced(delta.cursor, replace(delta, digest=None) if self.filtered else delta)]

    def _take_heartbeat(self, heartbeat: Heartbeat) -> list[Update]:
        cursor = Cursor.parse(heartbeat.revision)
        if cursor is None:
            raise DecodeError(f"heartbeat: `revision` {heartbeat.revision[:80]!r} is no cursor")
        if self._events_only:
            self.cursor = self._later(cursor)
            return []
        held = self._held_cursor()
        if cursor.epoch != held.epoch or (cursor.revision > held.revision and not self.filtered):
            # The server writes what it has before it says where it is: something got lost.
            return self._need_snapshot(f"gap: the server is at {cursor}, not {held}")
        self.cursor = self._later(cursor)
        return self._checkpoint(cursor, heartbeat.digest) if cursor == held else []

    def _checkpoint(self, cursor: Cursor | None, digest: str | None) -> list[Update]:
        value = parse_digest(digest)
        # A filtered reader does not hold what the digest is about.
        if self.filtered or cursor is None or value is None or cursor != self.cursor:
            return []
        return [Checkpoint(cursor, value)]

    def _advanced(self, cursor: Cursor, update: Change | Delta) -> Update:
        self.cursor = cursor
        self._bad_payloads = 0
        return update

    def _need_snapshot(self, reason: str) -> list[Update]:
        self._awaiting_snapshot = True
        return [NeedSnapshot(reason)]

    def _held_cursor(self) -> Cursor:
        # Without a cursor `connected` has already asked for a snapshot, and nothing is taken until it came.
        return self.cursor or Cursor("", -1)

    def _later(self, cursor: Cursor | None) -> Cursor | None:
        if cursor is None:
            return self.cursor
        if self.cursor is not None and cursor.epoch == self.cursor.epoch and cursor.revision < self.cursor.revision:
            return self.cursor
        return cursor


def _event_of_flag(flag: Flag) -> FlagEvent:
    # What happened in between is not known, only what it came to.
    return FlagEvent(EventType.FLAG_UPDATED, flag.id, flag.key, f"Flag updated: {flag.key}", flag=flag)


def _event_of_deletion(ref: FlagRef) -> FlagEvent:
    return FlagEvent(EventType.FLAG_DELETED, ref.id, ref.key, f"Flag deleted: {ref.key}")
