"""A stream of events alone: what both stream clients run on an event loop, and what they know of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

from ..core.changes import Change, Cursor, Delta
from ..errors import FlagentError, StreamBroken
from ..wire.codec import FlagEvent
from ..wire.feed import Checkpoint, Feed
from .buffer import Buffer
from .config import ClientSettings, show_debug_logs
from .follow import Follower
from .plan import Persistence, Subscription
from .sse_config import SSEConfig
from .status import ConnectionState
from .transport import Transport


class EventStream:
    """One connected stream, with all its reconnections; lives on one event loop (`follow.Receiver`).

    Args:
        settings: how to reach the server.
        config: how to behave.
        feed: what is asked for.
        buffer: gets the events, and is ended with the stream.
    """

    def __init__(self, settings: ClientSettings, config: SSEConfig, feed: Feed, buffer: Buffer) -> None:
        self.feed = feed
        self.buffer = buffer
        self._transport = Transport(settings)
        persistence = Persistence(config.auto_reconnect, config.max_reconnect_attempts)
        self.follower = Follower(self._transport, settings.root, feed, self, persistence)
        self._task: asyncio.Task[None] | None = None

    async def begin(self, timeout: float) -> None:
        """Connect; wait until the stream is live."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="flagent stream")
        if timeout > 0:
            await self.follower.wait_live(timeout)

    async def close(self) -> None:
        """End the stream and its connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._transport.aclose()

    @property
    def runs(self) -> bool:
        """Whether there is a task that has to be ended."""
        return self._task is not None and not self._task.done()

    def forget(self) -> None:
        """Cancel what runs, without waiting for it; from any thread."""
        if self._task is not None and not self._task.get_loop().is_closed():
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def let_go(self) -> None:
        """Give up what a forked child has from its parent."""
        self._transport.let_go()

    async def _run(self) -> None:
        try:
            await self.follower.run()
        finally:
            self.buffer.end()

    def deliver(self, update: Change | Delta | FlagEvent | Checkpoint, _feed: Feed) -> None:
        """Take an update; a feed for events alone hands out nothing else."""
        if isinstance(update, FlagEvent):
            self.buffer.put(update)

    async def restart(self, reason: str, feed: Feed) -> Cursor:
        """Go on without a snapshot: there is nobody who holds one."""
        raise StreamBroken(f"a stream of events alone knows no snapshot: {reason}, at {feed.cursor}", kind="protocol")

    def heard(self, feed: Feed) -> None:
        """Note nothing."""

    def turns(self, error: FlagentError) -> int:  # noqa: ARG002 - whatever it was
        """Return that nobody else asks."""
        return 1

    def changed(self) -> None:
        """Note nothing: the state is read from the follower."""


class StreamClient:
    """What both clients know of their stream."""

    def __init__(self, settings: ClientSettings, config: SSEConfig | None) -> None:
        self._settings = settings
        self._config = config or SSEConfig()
        if self._config.enable_debug_logging:
            show_debug_logs()
        self._stream: EventStream | None = None

    @property
    def status(self) -> ConnectionState:
        """What the client is doing at this moment."""
        stream = self._stream
        if stream is None or stream.buffer.ended or stream.follower.ended:
            return ConnectionState.DISCONNECTED
        if stream.follower.live:
            return ConnectionState.CONNECTED
        waits = stream.follower.retry_at is not None
        return ConnectionState.RECONNECTING if waits else ConnectionState.CONNECTING

    @property
    def last_error(self) -> FlagentError | None:
        """Why the stream is not up; None while it is."""
        return None if self._stream is None else self._stream.follower.last_error

    @property
    def dropped(self) -> int:
        """How many events were dropped because nobody read them in time."""
        return 0 if self._stream is None else self._stream.buffer.dropped

    @property
    def gaps(self) -> int:
        """How often a reconnection could not go on where the stream had ended, so that events may be missing."""
        return 0 if self._stream is None else self._stream.feed.gaps

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._settings.root}, {self.status}>"

    def _new(self, keys: Iterable[str] | None, ids: Iterable[int] | None, buffer: Buffer) -> EventStream:
        wanted = Subscription.of(self._settings.root, keys, ids)
        feed = Feed(
            flag_keys=wanted.flag_keys,
            flag_ids=wanted.flag_ids,
            events_only=True,
            base_delay=self._config.reconnect_delay,
            max_delay=self._config.max_reconnect_delay,
            random=random.random,
        )
        return EventStream(self._settings, self._config, feed, buffer)
