"""The one network loop: connect, feed, deliver, wait, and again.

Nothing but cancelling ends it, unless it was told to give up. What arrives goes to a receiver by a
call (`hearing`), not through a generator: then the task can be cancelled at any moment without leaving
anything half done.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from functools import partial
from typing import NoReturn, Protocol

from ..errors import Closed, FlagentError, Refused, StreamBroken, TransportError
from ..wire.feed import Feed
from .address import STREAM_PATHS
from .advice import Advice
from .hearing import Ending, Hearing, Holder
from .plan import Persistence
from .pulse import Pulse
from .streamed import Stream
from .transport import Transport

_log = logging.getLogger("flagent.client")

#: Seconds for which a stream that is late is read on: what arrived while the receiver was busy must not count as late.
_GRACE = 0.05
LONGEST_DELAY = 30.0
#: Seconds after which a failure that lasts is logged again.
REMINDER = 3600.0


class Receiver(Holder, Protocol):
    """Whoever gets the updates of a stream, and is told how it fares, on the event loop of the stream."""

    def heard(self, feed: Feed) -> None:
        """Note that everything up to now was delivered."""

    def turns(self, error: FlagentError) -> int:
        """Return among how many those who failed like this have to share what one of them may ask."""

    def changed(self) -> None:
        """Note that the stream has come or gone."""


class Follower:
    """Follows one stream.

    Args:
        transport: makes the connections.
        root: URL of the server that has the stream.
        feed: what is asked for, and the state of the stream.
        receiver: gets the updates.
        persistence: when to stop trying.

    Attributes:
        feed: see above.
        live: whether the stream is up, and everything was delivered that its greeting said was to come.
        ended: whether it gave up, or was ended.
        last_error: why the stream is not up; None while it is, or before the first failure.
        retry_at: when the next connection is due, on the monotonic clock; None while there is one.
        connections: how many connections became live.
        advice: what could be done about streams that do not last.
    """

    def __init__(
        self, transport: Transport, root: str, feed: Feed, receiver: Receiver, persistence: Persistence | None = None
    ) -> None:
        self.feed = feed
        self.live = False
        self.ended = False
        self.last_error: FlagentError | None = None
        self.retry_at: float | None = None
        self.connections = 0
        self.advice = Advice()
        self._transport = transport
        self._root = root
        self._receiver = receiver
        self._persistence = persistence or Persistence()
        self._failures = 0
        self._down_since = time.monotonic()
        self._paths = STREAM_PATHS
        self._late_at: float | None = None
        self._warned_at = -math.inf
        self._hurried = False
        self._pulse = Pulse()

    def down_for(self, now: float) -> float:
        """Return for how many seconds the stream has not been live."""
        return 0.0 if self.live else now - self._down_since

    async def wait_live(self, timeout: float) -> None:
        """Return when the stream is live.

        Raises:
            Refused: the server refuses; it is asked again later, but waiting is of no use.
            Closed: it was ended.
            FlagentError: it gave up, or is not live after `timeout` seconds, for this reason.
        """
        await self._pulse.wait_for(lambda: self.live or self._is_hopeless(), timeout)
        if not self.live:
            raise self.last_error or TransportError(f"no stream from {self._root} within {timeout:g} s", kind="timeout")

    def hurry(self) -> None:
        """End the wait for the next connection: what was wrong may be right by now."""
        if self.retry_at is not None:
            self._hurried = True
            self._pulse.beat()

    def _is_hopeless(self) -> bool:
        return self.last_error is not None and (self.ended or isinstance(self.last_error, Refused))

    async def run(self) -> None:
        """Follow the stream, until cancelled or giving up is due."""
        try:
            while not self.ended:
                await self._round_and_wait()
        except asyncio.CancelledError:
            # Whoever waits for it to be live would wait in vain.
            self.ended, self.last_error = True, Closed("the stream was ended")
            self._pulse.beat()
            raise

    async def _round_and_wait(self) -> None:
        try:
            delay = await self._round()
        except Exception:  # noqa: BLE001 - nothing may end the loop
            _log.exception("the end of a stream could not be dealt with")
            delay, self.live = LONGEST_DELAY, False
        if not self.ended:
            await self._pulse.wait_for(lambda: self._hurried, delay)

    async def _round(self) -> float:
        """Serve one connection, and return the seconds to wait before the next."""
        self.retry_at, self._hurried = None, False
        error = await self._connection()
        self.advice.ended(error, time.monotonic(), self.feed.heartbeat)
        delay = self.feed.closed(time.monotonic(), error) * self._receiver.turns(error)
        self._lost(error, delay)
        return delay

    async def _connection(self) -> FlagentError:
        """Serve one connection, and return why it ended."""
        try:
            await self._serve()
        except FlagentError as exc:
            return exc
        except Exception as exc:  # noqa: BLE001 - a bug, ours or of a library: it costs this connection only
            _log.exception("following the stream failed as it never should")
            # What was handed out may not have arrived.
            self.feed.diverged()
            return StreamBroken(f"internal error: {exc!r}", kind="protocol")
        finally:
            # Also when it is cancelled: nobody must take a stream for live that is not served.
            self._not_live()

    async def _serve(self) -> NoReturn:
        stream = await self._open()
        # A new one for each connection: what the last one left undone is told again, or is in a snapshot.
        hearing = Hearing(self.feed, self._receiver, self._delivered)
        try:
            while True:
                await self._listen(stream, hearing)
                await hearing.settle()
        finally:
            await self._transport.close_stream(stream)

    async def _open(self) -> Stream:
        request = self.feed.request(time.monotonic())
        for path in self._paths:
            stream = await self._transport.open(self._root, path, query=request.query, headers=request.headers)
            try:
                self.feed.opened(stream.status, stream.content_type, time.monotonic(), retry_after=stream.retry_after)
            except BaseException as exc:
                await self._transport.close_stream(stream)
                # Flagent's server has the stream elsewhere, and where we look a 404 or its web page.
                elsewhere = isinstance(exc, StreamBroken) or (isinstance(exc, Refused) and exc.status == 404)
                if not elsewhere or path == self._paths[-1]:
                    raise
            else:
                return stream
        raise AssertionError("there is at least one path")

    async def _listen(self, stream: Stream, hearing: Hearing) -> None:
        """Hear the stream for as long as nothing else has to be waited for."""
        ending = await stream.listen(partial(self._hear, hearing), self._time_left)
        if ending is Ending.ENDED:
            raise StreamBroken("the server ended the stream")
        if ending is Ending.SILENT and self.feed.live:
            raise StreamBroken("the stream is dead: nothing more arrived", kind="timeout")
        if ending is Ending.SILENT:
            raise StreamBroken("the stream does not begin: perhaps a proxy holds it back", kind="buffered")

    def _hear(self, hearing: Hearing, piece: bytes) -> bool:
        was_live = self.live
        self.advice.heard(time.monotonic())
        # Until it is live, and when it is not any more, each piece may leave less time for the next one than there was.
        return hearing.hear(piece) and was_live and self.live

    def _time_left(self) -> float:
        """Return for how many seconds the stream may be silent."""
        now = time.monotonic()
        left = self.feed.deadline() - now
        if left > _GRACE:
            self._late_at = None
            return left
        if self._late_at is None:
            self._late_at = now
        # Once, and not for each read: what drips without ever saying anything would live for ever.
        return self._late_at + _GRACE - now

    def _delivered(self) -> None:
        """Note that all that was heard is delivered."""
        if self.feed.live and self.feed.current:
            self._receiver.heard(self.feed)
            self._is_live()
        elif self.feed.live and self.feed.caught_up:
            self._is_live()
        else:
            self._not_live()

    def _is_live(self) -> None:
        if self.live:
            return
        self.live, self.last_error, self._failures = True, None, 0
        self.connections += 1
        self.advice.began(time.monotonic())
        _log.info("the stream from %s is live at %s", self._root, self.feed.cursor)
        self._tell()

    def _not_live(self) -> None:
        if self.live:
            self.live = False
            self._down_since = time.monotonic()
            self._tell()

    def _lost(self, error: FlagentError, delay: float) -> None:
        now = time.monotonic()
        self._failures += 1
        self.last_error = error
        limit = self._persistence.max_failures
        self.ended = not self._persistence.reconnect or 0 < limit <= self._failures
        self.retry_at = None if self.ended else now + delay
        # A stream that comes and goes is told once, until it has been healthy for a while, and then each hour.
        level = logging.DEBUG
        if self.feed.attempt <= 1 or self.ended or now - self._warned_at >= REMINDER:
            level, self._warned_at = logging.WARNING, now
        then = "giving up" if self.ended else f"next try in {delay:.2f} s"
        _log.log(level, "no stream from %s: %s; %s", self._root, error, then)
        self._tell()

    def _tell(self) -> None:
        self._pulse.beat()
        self._receiver.changed()
