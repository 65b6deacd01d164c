"""Polling: when to look for a new snapshot without being told to, and the task that does it."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable

from ..errors import FlagentError, HTTPStatusError, NotReady
from ..wire.backoff import Backoff, is_hopeless
from . import plain
from .config import STRAY, OfflineConfig
from .follow import Follower
from .refresh import Refresher

_log = logging.getLogger("flagent.client")


class Poller:
    """Refreshes now and then: seldom beside a stream that works, often without one.

    Args:
        refresher: does it.
        config: how often.
        follower: returns the stream that is followed at the moment, or None.
    """

    def __init__(self, refresher: Refresher, config: OfflineConfig, follower: Callable[[], Follower | None]) -> None:
        self._refresher = refresher
        self._config = config
        self._follower = follower
        self._backoff = Backoff(
            base_delay=config.reconnect_delay,
            max_delay=config.max_reconnect_delay,
            stable_after=0.0,
            random=random.random,
        )
        self._changed = asyncio.Event()
        self._began_at = time.monotonic()
        self._retry_at: float | None = None
        self._asked: list[float] = []
        self._stray = _draw()
        # Of its own, so that clients that lost their streams with their server do not fall back at one moment.
        self._fallback_after = config.fallback_after * random.uniform(1.0 - STRAY, 1.0)  # noqa: S311

    def reconsider(self) -> None:
        """Make the plan anew: a stream came or went, or somebody else refreshed."""
        follower = self._follower()
        if follower is not None and follower.live and is_hopeless(self._refresher.last_error):
            # Whoever lets the stream in again will let us in, too.
            self._retry_at = time.monotonic()
        self._changed.set()

    def ask(self, *delays: float) -> None:
        """Poll after each of these delays, instead of what was asked for before and is not due yet."""
        now = time.monotonic()
        self._asked = [at for at in self._asked if at <= now] + [now + delay for delay in delays]
        self._changed.set()

    async def run(self) -> None:
        """Poll, until cancelled."""
        while True:
            now = time.monotonic()
            due = self._due(now)
            if due <= now:
                await self._poll(now)
                continue
            wake = min(due, self._plan_changes_at(now))
            self._changed.clear()
            try:
                # Without a plan there is nothing to do until somebody makes one.
                async with asyncio.timeout(None if wake == math.inf else wake - now):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _due(self, now: float) -> float:
        last = max(self._began_at, self._refresher.tried_at)
        regular = last + self._interval(now) * self._stray
        error, retry_at = self._refresher.last_error, self._retry_at
        if error is not None and retry_at is not None and regular < math.inf:
            # The regular time may be too early for a server that refuses us, and too late for a short failure.
            regular = retry_at if isinstance(error, HTTPStatusError) else min(regular, retry_at)
        return min([regular, *self._asked])

    def _interval(self, now: float) -> float:
        follower, config = self._follower(), self._config
        if follower is None or follower.down_for(now) >= self._fallback_after:
            if config.auto_refresh:
                return config.refresh_interval
            if follower is None:
                return math.inf
        return config.safety_poll_interval or math.inf

    def _plan_changes_at(self, now: float) -> float:
        follower = self._follower()
        if follower is None or follower.live:
            return math.inf
        left = self._fallback_after - follower.down_for(now)
        return now + left if left > 0 else math.inf

    async def _poll(self, now: float) -> None:
        self._asked = [at for at in self._asked if at > now]
        self._stray = _draw()
        follower, was_refused = self._follower(), is_hopeless(self._refresher.last_error)
        try:
            await self._refresher.refresh()
        except FlagentError as exc:
            asked = exc.retry_after if isinstance(exc, HTTPStatusError) else None
            failed_at = time.monotonic()
            delay = self._backoff.next_delay(failed_at, slow=is_hopeless(exc), asked=asked)
            if is_hopeless(exc) and follower is not None and is_hopeless(follower.last_error):
                # Both ask in vain, and take turns: together they ask no more often than one of them may.
                delay += max(0.0, (follower.retry_at or failed_at) - failed_at)
            self._retry_at = failed_at + delay
            if isinstance(exc, NotReady):
                # Also where nothing is polled regularly: it was not believed, and may be true.
                self.ask(plain.CACHE_AGE)
            level = logging.WARNING if self._backoff.failures == 1 else logging.DEBUG
            _log.log(level, "no snapshot: %s; next try in %.1f s", exc, delay)
        except Exception:  # noqa: BLE001
            # Whatever it was, it must not end the polling for good.
            _log.exception("a poll failed as it never should")
            self._began_at = time.monotonic()
        else:
            self._backoff.healthy_for(math.inf)
            self._retry_at = None
            if was_refused and follower is not None:
                follower.hurry()


def _draw() -> float:
    return random.uniform(1 - STRAY, 1 + STRAY)  # noqa: S311
