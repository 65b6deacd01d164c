"""Writes to all open streams: what the hub has for them, signs of life, and the goodbye.

One task drives all streams. A stream has no task that waits for changes, no timer and no queue;
only a connection that takes nothing costs a task, until it takes something again or its time is up.
The others do not notice.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import random
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import count

from ..core.changes import digest_text
from ..wire import codec, sse
from . import eager
from .editor import now_ms
from .filters import EVERYTHING
from .hub import Bridge, Hub
from .settings import Settings
from .stream import Stream

_log = logging.getLogger("flagent.streams")

#: Streams written to before others on the event loop have a turn: about two milliseconds.
_SLICE = 200
#: How many clients per second a goodbye sends elsewhere, and the longest wait in seconds that it asks of one.
_RECONNECTS_PER_SECOND = 500
_MAX_SPREAD = 30.0
_COMMENT = sse.comment("hb")


class Broadcaster:
    """All open streams.

    Attributes:
        draining: no stream may be opened any more.
        failed: how many streams ended because writing to them raised something unexpected.
        stalled: how many streams ended because their connection took nothing.
    """

    def __init__(self, hub: Hub, settings: Settings, *, clock: Callable[[], float]) -> None:
        """Serve streams from `hub`; `clock` gives seconds that never go back."""
        self.draining = False
        self.failed = 0
        self.stalled = 0
        #: Called with the seconds from an edit to its event, when the event is on all streams that were ready.
        self.delivered: Callable[[float], None] = _nothing
        self._hub = hub
        self._settings = settings
        self._clock = clock
        self._streams: dict[int, Stream] = {}
        self._numbers = count()
        # What streams wait for besides changes, soonest first. An entry counts if its stream still says so.
        self._deadlines: list[tuple[float, int]] = []
        self._wake = asyncio.Event()
        self._served = hub.cursor
        # Flagent's own clients get their changes when a window ends, so that a burst is one event.
        self._served_compatible = hub.cursor
        self._window_ends = math.inf
        self._sign_of_life = (hub.cursor, self._heartbeat())

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, stream: Stream, greeting: bytes) -> None:
        """Write the greeting and what follows the stream's cursor, and serve the stream until it is closed."""
        now = self._clock()
        stream.number = next(self._numbers)
        self._streams[stream.number] = stream
        if stream.compatible and self._settings.nudge_window:
            stream.nudge_at = now + random.uniform(0.0, self._settings.nudge_window)  # noqa: S311
        self._write(stream, greeting, now)
        self._serve(stream)
        self._schedule(stream)

    async def close(self, stream: Stream) -> None:
        """Serve the stream no more."""
        stream.ended = True
        self._streams.pop(stream.number, None)
        if stream.pending is not None:
            stream.pending.cancel()
            await asyncio.gather(stream.pending, return_exceptions=True)

    async def run(self) -> None:
        """Serve all streams, for ever."""
        self._hub.add_bell(self._wake)
        # There may be news since the broadcaster was made.
        self._wake.set()
        try:
            while True:
                await self._something_due()
                await self._serve_all()
                await self._meet_deadlines()
        finally:
            self._hub.remove_bell(self._wake)

    async def drain(self) -> None:
        """Say goodbye to every stream and end it; open none any more."""
        self.draining = True
        spread_ms = 1000 * min(_MAX_SPREAD, len(self._streams) / _RECONNECTS_PER_SECOND)
        async for stream in _sliced(self._streams.values()):
            self._end(stream, _goodbye(stream, "drain", int(random.uniform(0.0, spread_ms))))  # noqa: S311

    def revoke(self, dead: Callable[[int], bool]) -> None:
        """End, with a goodbye, every stream whose key is one of those for which `dead` is true."""
        for stream in tuple(self._streams.values()):
            if stream.key_id is not None and dead(stream.key_id):
                _log.info("stream %d ends: its key %d is in force no more", stream.number, stream.key_id)
                self._end(stream, _goodbye(stream, "revoked", 0))

    async def _something_due(self) -> None:
        due = min(self._deadlines[0][0] if self._deadlines else math.inf, self._window_ends)
        if due <= self._clock():
            # Writing on and on, without a pause, would keep others from the event loop.
            await asyncio.sleep(0)
        else:
            try:
                async with asyncio.timeout(None if due == math.inf else due - self._clock()):
                    await self._wake.wait()
            except TimeoutError:
                pass
        self._wake.clear()

    async def _serve_all(self) -> None:
        if self._served is not self._hub.cursor:
            self._served = self._hub.cursor
            async for stream in _sliced(self._streams.values()):
                if not stream.compatible:
                    self._serve(stream)
            if self._hub.changed_at:
                # By the clock of the day: the edit may have been made by another process.
                self.delivered(max(0, now_ms() - self._hub.changed_at) / 1000)
        now = self._clock()
        if self._served_compatible is not self._hub.cursor and self._window_ends == math.inf:
            self._window_ends = now + self._settings.coalesce_window
        if now >= self._window_ends:
            self._window_ends = math.inf
            self._served_compatible = self._hub.cursor
            async for stream in _sliced(self._streams.values()):
                if stream.compatible:
                    self._serve(stream)

    async def _meet_deadlines(self) -> None:
        due = []
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            at, number = heapq.heappop(self._deadlines)
            stream = self._streams.get(number)
            if stream is not None and stream.due == at:
                stream.due = math.inf
                due.append(stream)
        async for stream in _sliced(due):
            if stream.ended:
                continue
            try:
                self._attend(stream, self._clock())
            except Exception:  # noqa: BLE001 - it ends this stream and no other
                self._fail(stream)
            else:
                self._schedule(stream)

    def _attend(self, stream: Stream, now: float) -> None:
        """Do what time asks for: judge a write that waits, nudge, or give a sign of life."""
        if stream.pending is not None:
            self._judge(stream, now)
        elif stream.nudge_at <= now:
            stream.nudge_at = math.inf
            self._write(stream, self._hub.nudge(stream.wanted, now_ms()), now)
        elif stream.written_at + self._settings.heartbeat <= now:
            # A filter may have moved the cursor without a word; the heartbeat tells the reader where it is.
            self._serve(stream)
            if stream.written_at + self._settings.heartbeat <= now:
                self._write(stream, self._sign(stream), now)

    def _judge(self, stream: Stream, now: float) -> None:
        if now < stream.stalled_at + self._settings.write_timeout:
            return
        buffered = stream.buffered()
        if buffered < stream.unsent:
            # Slow is not stalled: a large sync may take its time.
            stream.stalled_at, stream.unsent = now, buffered
            return
        self.stalled += 1
        _log.info("stream %d ends: its connection took nothing for %g s", stream.number, self._settings.write_timeout)
        stream.abort()

    def _schedule(self, stream: Stream) -> None:
        if stream.pending is not None:
            due = stream.stalled_at + self._settings.write_timeout
        else:
            due = min(stream.nudge_at, stream.written_at + self._settings.heartbeat)
        if due == stream.due:
            return
        stream.due = due
        if not self._deadlines or due < self._deadlines[0][0]:
            self._wake.set()
        heapq.heappush(self._deadlines, (due, stream.number))

    def _serve(self, stream: Stream) -> None:
        if stream.ended or stream.pending is not None:
            return
        try:
            news = self._news(stream)
        except Exception:  # noqa: BLE001 - it ends this stream and no other
            self._fail(stream)
        else:
            self._write(stream, news, self._clock())

    def _news(self, stream: Stream) -> bytes:
        start, wanted = stream.seen, stream.wanted
        if stream.compatible:
            news, stream.seen = self._hub.read_compatible(start, wanted, now_ms())
        else:
            if wanted is not EVERYTHING and self._hub.bridge(start, wanted) is Bridge.SYNC:
                # A net change has to start where the reader knows that it is.
                start = stream.cursor
            news, stream.seen = self._hub.read(start, wanted)
        if news:
            stream.cursor = stream.seen
        return news

    def _write(self, stream: Stream, body: bytes, now: float) -> None:
        if not body or stream.ended or stream.pending is not None:
            return
        stream.written_at = now
        try:
            rest = eager.start(stream.send({"type": "http.response.body", "body": body, "more_body": True}))
        except Exception:  # noqa: BLE001 - it ends this stream and no other
            self._fail(stream)
            return
        if rest is not None:
            stream.stalled_at, stream.unsent = now, stream.buffered()
            stream.pending = asyncio.create_task(self._finish(stream, rest), name=f"stream {stream.number}")
            self._schedule(stream)

    async def _finish(self, stream: Stream, rest: eager.Remainder) -> None:
        try:
            await rest.wait()
        except Exception:  # noqa: BLE001 - it ends this stream and no other
            self._fail(stream)
            return
        finally:
            stream.pending = None
        self._serve(stream)

    def _end(self, stream: Stream, last: bytes) -> None:
        if stream.ended:
            return
        stream.ended = True
        if stream.pending is not None:
            stream.abort()
            return
        try:
            rest = eager.start(stream.send({"type": "http.response.body", "body": last, "more_body": False}))
        except Exception:  # noqa: BLE001 - it ends this stream and no other
            self._fail(stream)
            return
        if rest is not None:
            rest.close()
            stream.abort()

    def _fail(self, stream: Stream) -> None:
        self.failed += 1
        _log.exception("stream %d ends: it can't be served", stream.number)
        stream.abort()

    def _sign(self, stream: Stream) -> bytes:
        # A reader that is ahead of us must not hear of an older cursor.
        if stream.compatible or self._hub.is_ahead(stream.seen):
            return _COMMENT
        stream.cursor = stream.seen
        if self._sign_of_life[0] is not self._hub.cursor:
            self._sign_of_life = (self._hub.cursor, self._heartbeat())
        return self._sign_of_life[1]

    def _heartbeat(self) -> bytes:
        cursor = str(self._hub.cursor)
        data = codec.Heartbeat(revision=cursor, digest=digest_text(self._hub.snapshot.digest))
        return sse.encode(codec.encode_heartbeat(data), event="heartbeat", id=cursor)


def _nothing(_seconds: float) -> None:
    """Be called by a broadcaster that nobody observes."""


def _goodbye(stream: Stream, reason: str, reconnect_after_ms: int) -> bytes:
    # Flagent's own clients know no such event.
    if stream.compatible:
        return b""
    message = codec.Goodbye(reason=reason, reconnect_after_ms=reconnect_after_ms)
    return sse.encode(codec.encode_goodbye(message), event="goodbye")


async def _sliced(streams: Iterable[Stream]) -> AsyncIterator[Stream]:
    for position, stream in enumerate(tuple(streams), 1):
        yield stream
        if position % _SLICE == 0:
            await asyncio.sleep(0)
