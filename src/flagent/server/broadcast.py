"""Writes to all open streams: what their readers have for them, signs of life, and the goodbye.

One task drives all streams, but the first few hundred are told what is new in the very call that brings it: whoever
made the change, and a task's turn, would come before them otherwise. A stream has no task that waits for changes, no
timer and no queue; only a connection that takes nothing costs a task, until it takes something again or its time is up.
The others do not notice.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import count

from ..wire.encodings import Messages
from .audience import SIZE, Audience
from .clocks import now_ms
from .deadlines import Deadlines
from .delivery import Delivery
from .hub import Hub
from .settings import Settings
from .stream import Kind, Stream
from .turns import in_turns, sliced

_log = logging.getLogger("flagent.streams")

#: How far the life of a stream may be from `max_age`, so that those that were opened together do not end together.
_AGE_SPREAD = 0.2
#: The longest wait in seconds that the goodbye to a stream that is old enough asks for.
_RETURN = 1.0
#: What asking an audience costs that has nothing to hear, in writes to a stream.
_QUESTION = 0.25


class Broadcaster:
    """All open streams.

    Attributes:
        draining: no stream may be opened any more.
        stalled: how many streams ended because their connection took nothing.
    """

    def __init__(self, hub: Hub, settings: Settings, *, clock: Callable[[], float]) -> None:
        """Serve streams from `hub`; `clock` gives seconds that never go back."""
        self.draining = False
        self.stalled = 0
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
        self._delivery = Delivery(hub, clock=clock, schedule=self._schedule, wake=self._wake.set, lost=self._lose)
        # What is new is being told, and the rest of it is to be told by the task.
        self._telling: Iterator[None] | None = None
        # Flagent's own clients get their changes when a window ends, so that a burst is one event.
        self._window_ends = math.inf

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def failed(self) -> int:
        """How many streams ended because writing to them raised something unexpected."""
        return self._delivery.failed

    @property
    def written(self) -> int:
        """Bytes that were written to streams."""
        return self._delivery.written

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All open streams, the oldest first."""
        self._delivery.live.settle()
        self._delivery.compatible.settle()
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
        self._streams[stream.number] = stream
        if stream.reader.compatible and self._settings.nudge_window:
            stream.nudge_at = now + random.random() * self._settings.nudge_window  # noqa: S311
        if self._settings.max_age:
            spread = _AGE_SPREAD * (2.0 * random.random() - 1.0)  # noqa: S311
            stream.ends_at = now + self._settings.max_age * (1.0 + spread)
        self._delivery.serve_one(stream, greeting)
        self._schedule(stream)

    def closed(self, stream: Stream, *, stalled: bool = False) -> None:
        """Serve the stream no more: its connection is gone; `stalled` if the kernel cut it because it took nothing."""
        stream.ended = True
        if self._streams.pop(stream.number, None) is None:
            return
        self.stalled += stalled
        self._delivery.part(stream)
        self._deadlines.forget(stream, self._streams)
        if stream.pending is not None:
            stream.pending.cancel()

    def _lose(self, stream: Stream, reason: OSError) -> None:
        stream.abort()
        # By TCP_USER_TIMEOUT, which is the time after which we would do it.
        self.closed(stream, stalled=isinstance(reason, TimeoutError))

    async def close(self, stream: Stream, *, stalled: bool = False) -> None:
        """Serve the stream no more, as `closed` does, and wait until nothing is written to it."""
        pending = stream.pending
        self.closed(stream, stalled=stalled)
        if pending is not None:
            await asyncio.gather(pending, return_exceptions=True)

    def restart(self, stream: Stream, reason: str) -> None:
        """Make the stream's reader load everything anew."""
        if stream.ended or stream.pending is not None:
            return
        self._delivery.part(stream)
        self._delivery.serve_one(stream, stream.reader.restart(reason))

    async def run(self) -> None:
        """Serve all streams, for ever."""
        self._hub.add_bell(self._begin_to_tell)
        # There may be news since the broadcaster was made.
        self._wake.set()
        try:
            while True:
                await self._something_due()
                await self._serve_all()
                await self._give_signs()
                await self._meet_deadlines()
        finally:
            self._hub.remove_bell(self._begin_to_tell)
            self._telling = None

    def revoke(self, dead: Callable[[int], bool]) -> None:
        """End, with a goodbye, every stream whose key is one of those for which `dead` is true."""
        for stream in tuple(self._streams.values()):
            key_id = stream.about.key_id
            if key_id is not None and dead(key_id):
                _log.info("stream %d ends: its key %d is in force no more", stream.number, key_id)
                self.end(stream, "revoked", 0.0)

    def end(self, stream: Stream, reason: str, wait: float) -> None:
        """Say goodbye and end the stream; its reader is asked to come back after `wait` seconds."""
        if stream.ended:
            return
        stream.ended = True
        self._delivery.part(stream)
        if stream.pending is not None:
            stream.abort()
            return
        try:
            last = stream.reader.goodbye(reason, round(wait * 1000))
            rest = stream.outlet.finish(last, reason)
        except Exception as exc:  # noqa: BLE001 - it ends this stream and no other
            self._delivery.fail(stream, exc)
            return
        if rest is not None:
            rest.close()
            stream.abort()
        elif stream.unsent():
            # What is on its way is not waited for longer than any other write.
            stream.stalled_at, stream.taken = self._clock(), stream.taken_by_now()
        self._schedule(stream)

    async def _something_due(self) -> None:
        silent = (
            min(self._delivery.live.silent_since, self._delivery.compatible.silent_since) + self._settings.heartbeat
        )
        due = min(self._deadlines.soonest, self._window_ends, silent)
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

    def _begin_to_tell(self) -> None:
        """Tell what is new as far as others on the event loop need not wait for it; the task does the rest."""
        self._wake.set()
        if self._telling is None and self._delivery.live.served is not self._hub.cursor:
            self._telling = self._tell_news()
            try:
                next(self._telling)
            except StopIteration:
                self._telling = None
            except Exception:  # noqa: BLE001 - whoever brings news goes on
                _log.exception("telling streams what is new failed")
                self._telling = None

    async def _serve_all(self) -> None:
        if self._telling is None and self._delivery.live.served is not self._hub.cursor:
            self._telling = self._tell_news()
        if self._telling is not None:
            await in_turns(self._telling)
            self._telling = None
        now = self._clock()
        if self._delivery.compatible.served is not self._hub.cursor and self._window_ends == math.inf:
            self._window_ends = now + self._settings.coalesce_window
        if now >= self._window_ends:
            self._window_ends = math.inf
            await in_turns(self._each(self._delivery.compatible.due(), self._delivery.serve))
            self._delivery.compatible.arrive()

    def _tell_news(self) -> Iterator[None]:
        yield from self._each(self._delivery.live.due(), self._delivery.serve)
        self._delivery.live.arrive()
        if self._hub.changed_at:
            # By the clock of the day: the edit may have been made by another process.
            self.delivered(max(0, now_ms() - self._hub.changed_at) / 1000)

    async def _give_signs(self) -> None:
        for audiences in (self._delivery.live, self._delivery.compatible):
            silent = audiences.silent(self._clock() - self._settings.heartbeat)
            await in_turns(self._each(silent, self._delivery.give_sign))

    def _each(self, due: Iterable[Audience], act: Callable[[Audience], int]) -> Iterator[None]:
        """Write to each audience; stop where others on the event loop shall have a turn."""
        cost = 0.0
        for audience in due:
            # All of it may be gone by its turn.
            if len(audience):
                cost += max(_QUESTION, act(audience))
            if cost >= SIZE:
                cost = 0.0
                yield

    async def _meet_deadlines(self) -> None:
        async for stream in sliced(self._deadlines.take(self._clock(), self._streams)):
            try:
                self._attend(stream, self._clock())
            except Exception as exc:  # noqa: BLE001 - it ends this stream and no other
                self._delivery.fail(stream, exc)
            else:
                self._schedule(stream)

    def _attend(self, stream: Stream, now: float) -> None:
        """Do what time asks for: judge a write that waits, end, or nudge."""
        if stream.ended or stream.pending is not None:
            self._judge(stream, now)
        elif stream.ends_at <= now:
            self.end(stream, "max_age", random.uniform(0.0, _RETURN))  # noqa: S311
        elif stream.nudge_at <= now:
            stream.nudge_at = math.inf
            self._delivery.part(stream)
            self._delivery.serve_one(stream, stream.reader.nudge())

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
        if stream.ended and not stream.unsent():
            due = math.inf
        elif stream.ended or stream.pending is not None:
            due = stream.stalled_at + self._settings.write_timeout
        else:
            due = min(stream.nudge_at, stream.ends_at)
        if self._deadlines.set(stream, due):
            self._wake.set()


def _nothing(_seconds: float) -> None:
    """Be called by a broadcaster that nobody observes."""
