"""The one network loop of the SDK: connect, feed, deliver, sleep, and again.

It ends only by cancellation, or when reconnecting is switched off or used up. Whatever goes wrong
besides, foreseen or not, becomes a wait and a status.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Protocol

from ..core.changes import Cursor
from ..errors import Diverged, FlagentError, Refused, StreamBroken
from ..wire.feed import Feed, NeedSnapshot, Update
from .config import API_PREFIX, SSEConfig
from .transport import Head, Transport

_log = logging.getLogger("flagent.follow")

#: Where streams are: ours and Flagent's clients' address first, then where Flagent's server really has it.
STREAM_PATHS = (f"{API_PREFIX}/realtime/sse", "/realtime/sse")


class Follower(Protocol):
    """What the loop serves."""

    async def deliver(self, update: Update) -> None:
        """Take an update; `Diverged` makes the loop ask for a snapshot."""

    async def restart(self, reason: str) -> Cursor:
        """Fetch the snapshot and return its cursor."""

    def connected(self) -> None:
        """Learn that the stream became live."""

    def disconnected(self, error: Exception, delay: float | None) -> None:
        """Learn that the stream ended, and in how many seconds the next try is; None for never."""


class Loop:
    """Follows the stream of one server for one follower."""

    def __init__(self, transport: Transport, feed: Feed, follower: Follower, config: SSEConfig) -> None:
        self._transport = transport
        self._feed = feed
        self._follower = follower
        self._config = config
        self._path = 0
        self._announced = False

    async def run(self) -> None:
        """Follow until cancelled, or until the configuration says to give up."""
        clock = asyncio.get_running_loop().time
        while True:
            error = await self._connection()
            delay = self._feed.closed(clock(), error)
            given_up = self._given_up()
            self._announced = False
            self._follower.disconnected(error, None if given_up else delay)
            if given_up:
                return
            _log.info("stream of %s: %s; next try in %.1f s", self._transport.base_url, error, delay)
            await asyncio.sleep(delay)

    def _given_up(self) -> bool:
        limit = self._config.max_reconnect_attempts
        return not self._config.auto_reconnect or 0 < limit < self._feed.attempt

    async def _connection(self) -> Exception:
        try:
            await self._stream()
        except FlagentError as exc:
            return exc
        except Exception as exc:  # noqa: BLE001
            # The top of the task: nothing but cancellation may end it.
            _log.exception("the stream failed in a way that was not foreseen")
            return exc
        return StreamBroken("the stream ended")

    async def _stream(self) -> None:
        tries = len(STREAM_PATHS)
        for remaining in range(tries - 1, -1, -1):
            request = self._feed.request()
            try:
                await self._transport.stream(
                    STREAM_PATHS[self._path],
                    query=request.query,
                    headers=request.headers,
                    opened=self._opened,
                    received=self._received,
                    deadline=self._feed.deadline,
                )
            except Refused as exc:
                if exc.status != 404 or not remaining:
                    raise
                self._path = (self._path + 1) % tries

    def _opened(self, head: Head) -> None:
        now = asyncio.get_running_loop().time()
        self._feed.opened(head.status, head.content_type, now, retry_after=head.retry_after)

    async def _received(self, chunk: bytes) -> None:
        clock = asyncio.get_running_loop().time
        waiting = deque(self._feed.received(chunk, clock()))
        while waiting:
            update = waiting.popleft()
            reason = update.reason if isinstance(update, NeedSnapshot) else await self._delivered(update)
            if reason is not None:
                cursor = await self._follower.restart(reason)
                # What is left was meant for a state that is gone, or is in the snapshot.
                waiting = deque(self._feed.restarted(cursor, clock()))
        if self._feed.live and not self._announced:
            self._announced = True
            self._follower.connected()
        if self._feed.failure is not None:
            raise self._feed.failure

    async def _delivered(self, update: Update) -> str | None:
        """Deliver; return why a snapshot is needed, if one is."""
        try:
            await self._follower.deliver(update)
        except Diverged as exc:
            _log.warning("%s; fetching the snapshot", exc)
            return str(exc)
        return None
