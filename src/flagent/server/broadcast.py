"""Writes to all open streams: what their readers have for them, signs of life, and the goodbye.

One task drives all streams. A stream has no task that waits for changes, no timer and no queue;
only a connection that takes nothing costs a task, until it takes something again or its time is up.
The others do not notice.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from itertools import count
from typing import Any

from ..wire.encodings import NOTHING, Messages
from . import eager
from .deadlines import Deadlines
from .editor import now_ms
from .hub import Hub
from .settings import Settings
from .stream import Kind, Stream

_log = logging.getLogger("flagent.streams")

#: Streams written to before others on the event loop have a turn: about two milliseconds.
_SLICE = 200
#: How far the life of a stream may be from `max_age`, so that those that were opened together do not end together.
_AGE_SPREAD = 0.2
#: The longest wait in seconds that the goodbye to a stream that is old enough asks for.
_RETURN = 1.0


class Broadcaster:
    """All open streams.

    Attributes:
        draining: no stream may be opened any more.
        failed: how many streams ended because writing to them raised something unexpected.
        stalled: how many streams ended because their connection took nothing.
        written: bytes that were written to streams.
    """

    def __init__(self, hub: Hub, settings: Settings, *, clock: Callable[[], float]) -> None:
        """Serve streams from `hub`; `clock` gives seconds that never go back."""
        self.draining = False
        self.failed = 0
        self.stalled = 0
        self.written = 0
        #: Called with the seconds from an edit to its event, when the event is on all streams that were ready.
        self.delivered: Callable[[float], None] = _nothing
        self._hub = hub
        self._settings = settings
        self._clock = clock
        self._streams: dict[int, Stream] = {}
        self._numbers = count(1)
        # What streams wait for besides changes.
        self._deadlines = Deadlines()
        self._wake = asyncio.Event()
        self._served = hub.cursor
        # Flagent's own clients get their changes when a window ends, so that a burst is one event.
        self._served_compatible = hub.cursor
        self._window_ends = math.inf

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All open streams, the oldest first."""
        return tuple(self._streams.values())

    def stream(self, number: int) -> Stream | None:
        """Return the stream of that number, or None."""
        return self._streams.get(number)

    def count(self, kind: Kind) -> int:
        """Return how many streams of a kind are open."""
        return sum(stream.about.kind is kind for stream in self._streams.values())

    def open(self, stream: Stream, greeting: Messages) -> None:
        """Write the greeting and what follows the reader's cursor, and serve the stream until it is closed."""
        now = self._clock()
        stream.number = next(self._numbers)
        stream.written_at = now
        self._streams[stream.number] = stream
        if stream.reader.compatible and self._settings.nudge_window:
            stream.nudge_at = now + random.uniform(0.0, self._settings.nudge_window)  # noqa: S311
        if self._settings.max_age:
            spread = random.uniform(1.0 - _AGE_SPREAD, 1.0 + _AGE_SPREAD)  # noqa: S311
            stream.ends_at = now + self._settings.max_age * spread
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

    def restart(self, stream: Stream, reason: str) -> None:
        """Make the stream's reader load everything anew."""
        self._write(stream, stream.reader.restart(reason), self._clock())
        self._serve(stream)

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

    def revoke(self, dead: Callable[[int], bool]) -> None:
        """End, with a goodbye, every stream whose key is one of those for which `dead` is true."""
        for stream in self.streams:
            key_id = stream.about.key_id
            if key_id is not None and dead(key_id):
                _log.info("stream %d ends: its key %d is in force no more", stream.number, key_id)
                self.end(stream, "revoked", 0.0)

    def end(self, stream: Stream, reason: str, wait: float) -> None:
        """Say goodbye and end the stream; its reader is asked to come back after `wait` seconds."""
        if stream.ended:
            return
        stream.ended = True
        if stream.pending is not None:
            stream.abort()
            return
        try:
            last = stream.reader.goodbye(reason, round(wait * 1000))
            rest = eager.start(stream.outlet.finish(last, reason))
        except Exception:  # noqa: BLE001 - it ends this stream and no other
            self._fail(stream)
            return
        if rest is not None:
            rest.close()
            stream.abort()

    async def _something_due(self) -> None:
        due = min(self._deadlines.soonest, self._window_ends)
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
            async for stream in sliced(self._streams.values()):
                if not stream.reader.compatible:
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
            async for stream in sliced(self._streams.values()):
                if stream.reader.compatible:
                    self._serve(stream)

    async def _meet_deadlines(self) -> None:
        async for stream in sliced(self._deadlines.take(self._clock(), self._streams)):
            if stream.ended:
                continue
            try:
                self._attend(stream, self._clock())
            except Exception:  # noqa: BLE001 - it ends this stream and no other
                self._fail(stream)
            else:
                self._schedule(stream)

    def _attend(self, stream: Stream, now: float) -> None:
        """Do what time asks for: judge a write that waits, end, nudge, or give a sign of life."""
        if stream.pending is not None:
            self._judge(stream, now)
        elif stream.ends_at <= now:
            self.end(stream, "max_age", random.uniform(0.0, _RETURN))  # noqa: S311
        elif stream.nudge_at <= now:
            stream.nudge_at = math.inf
            self._write(stream, stream.reader.nudge(), now)
        elif stream.written_at + self._settings.heartbeat <= now:
            self._serve(stream)
            if stream.written_at + self._settings.heartbeat <= now:
                self._write(stream, stream.reader.sign(), now)
                # Also when there was nothing to say.
                stream.written_at = now

    def _judge(self, stream: Stream, now: float) -> None:
        if now < stream.stalled_at + self._settings.write_timeout:
            return
        taken = stream.taken_by_now()
        if taken > stream.taken:
            # Slow is not stalled: a large sync may take its time.
            stream.stalled_at, stream.taken = now, taken
            return
        self.stalled += 1
        _log.info("stream %d ends: its connection took nothing for %g s", stream.number, self._settings.write_timeout)
        stream.abort()

    def _schedule(self, stream: Stream) -> None:
        if stream.pending is not None:
            due = stream.stalled_at + self._settings.write_timeout
        else:
            due = min(stream.nudge_at, stream.ends_at, stream.written_at + self._settings.heartbeat)
        if self._deadlines.set(stream, due):
            self._wake.set()

    def _serve(self, stream: Stream) -> None:
        if stream.ended or stream.pending is not None:
            return
        try:
            news = stream.reader.news() if stream.reader.catch_up is None else NOTHING
            if stream.reader.catch_up is not None:
                self._wait_for(stream, self._catch_up(stream, stream.reader.catch_up()))
        except Exception:  # noqa: BLE001 - it ends this stream and no other
            self._fail(stream)
        else:
            self._write(stream, news, self._clock())

    def _write(self, stream: Stream, messages: Messages, now: float) -> None:
        if not messages or stream.ended or stream.pending is not None:
            return
        stream.written_at = now
        self._count(messages)
        try:
            rest = eager.start(stream.outlet.write(messages))
        except Exception:  # noqa: BLE001 - it ends this stream and no other
            self._fail(stream)
            return
        if rest is not None:
            self._wait_for(stream, rest.wait())

    def _wait_for(self, stream: Stream, work: Coroutine[Any, Any, None]) -> None:
        """Let the stream wait for `work`; what changes meanwhile comes afterwards."""
        stream.stalled_at, stream.taken = self._clock(), stream.taken_by_now()
        stream.pending = asyncio.create_task(self._finish(stream, work), name=f"stream {stream.number}")
        self._schedule(stream)

    async def _finish(self, stream: Stream, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:  # noqa: BLE001 - it ends this stream and no other
            self._fail(stream)
            return
        finally:
            stream.pending = None
        self._serve(stream)
        self._schedule(stream)

    async def _catch_up(self, stream: Stream, batches: AsyncIterator[Messages]) -> None:
        async for messages in batches:
            if stream.ended:
                return
            self._count(messages)
            await stream.outlet.write(messages)
            stream.written_at = stream.stalled_at = self._clock()
        stream.reader.catch_up = None

    def _count(self, messages: Messages) -> None:
        self.written += len(messages[0]) if len(messages) == 1 else sum(map(len, messages))

    def _fail(self, stream: Stream) -> None:
        self.failed += 1
        _log.exception("stream %d ends: it can't be served", stream.number)
        stream.abort()


def _nothing(_seconds: float) -> None:
    """Be called by a broadcaster that nobody observes."""


async def sliced(streams: Iterable[Stream]) -> AsyncIterator[Stream]:
    """Yield streams, and let others on the event loop have a turn from time to time."""
    for position, stream in enumerate(tuple(streams), 1):
        yield stream
        if position % _SLICE == 0:
            await asyncio.sleep(0)
