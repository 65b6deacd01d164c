"""The moving parts behind a manager, on one event loop: fetching, polling and following the stream.

Both managers have one; the sync manager runs it in a thread of its own. Whatever it learns goes
into the replica, which is all that evaluation sees.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.changes import Cursor
from ..errors import Closed, FlagentError, NotReady, Refused, StreamBroken, TransportError
from ..wire.backoff import Backoff
from ..wire.feed import Feed, Update
from ..wire.views import decode_snapshot
from .config import API_PREFIX, OfflineConfig
from .follow import Loop
from .replica import Replica
from .status import State, Status
from .transport import Transport

_log = logging.getLogger("flagent.session")

SNAPSHOT_PATH = f"{API_PREFIX}/export/eval_cache/json"

#: Seconds without a live stream after which snapshots are asked for at the refresh interval.
STREAM_GRACE = 30.0
#: Part of the safety poll's interval by which it varies, so that clients don't ask in step.
_SAFETY_JITTER = 0.2
#: A plain Flagent server answers from a cache that is up to 3 s old: ask again after this many seconds.
_PLAIN_REPEAT = 4.0


@dataclass(frozen=True)
class Subscription:
    """What a stream is filtered by; empty for everything."""

    flag_keys: tuple[str, ...] = ()
    flag_ids: tuple[int, ...] = ()


class Session:
    """Keeps a replica fresh.

    Args:
        transport: how the server is reached for snapshots.
        replica: what is kept fresh.
        config: how.
    """

    def __init__(self, transport: Transport, replica: Replica, config: OfflineConfig) -> None:
        self.closed = False
        self._transport = transport
        self._stream_transport = transport
        self._replica = replica
        self._config = config
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._fetching = asyncio.Lock()
        self._poke = asyncio.Event()
        self._plain_news = asyncio.Event()
        self._went_live = asyncio.Event()
        self._feed: Feed | None = None
        self._subscription: Subscription | None = None
        self._polls = False
        self._down_since = 0.0
        self._error: Exception | None = None
        self._next_try_at: float | None = None

    # What a manager asks for.

    async def bootstrap(self, *, force_refresh: bool, timeout: float) -> None:
        """Make sure that there is a snapshot, and begin to poll if the configuration says so.

        Raises:
            FlagentError: the snapshot can't be had now; polling goes on trying.
        """
        self._check_open()
        if self._config.auto_refresh:
            self._polls = True
        try:
            if force_refresh or self._replica.ruleset is None:
                await self._fetch(conditional=False, timeout=timeout)
        finally:
            self._poll()

    async def refresh(self) -> bool:
        """Ask for a newer snapshot; return whether there was one."""
        self._check_open()
        before = self._replica.ruleset
        await self._fetch(conditional=True, timeout=self._config.request_timeout)
        return self._replica.ruleset is not before

    async def enable(self, transport: Transport, subscription: Subscription, timeout: float) -> None:
        """Follow the stream, and wait until it is live.

        Raises:
            FlagentError: it was not within `timeout` seconds; it goes on trying.
        """
        self._check_open()
        await self.disable()
        self._stream_transport = transport
        self._subscription = subscription
        self._down_since = self._clock()
        self._went_live.clear()
        config = self._config.realtime
        feed = self._feed = Feed(
            self._replica.cursor,
            flag_keys=subscription.flag_keys,
            flag_ids=subscription.flag_ids,
            base_delay=config.reconnect_delay,
            max_delay=config.max_reconnect_delay,
            random=random.random,
        )
        self._start("stream", Loop(transport, feed, self, config).run())
        self._poll()
        if timeout > 0:
            await self._wait_live(timeout)

    async def disable(self) -> None:
        """Stop following the stream."""
        await self._cancel("stream", "plain")
        transport, self._stream_transport = self._stream_transport, self._transport
        if transport is not self._transport:
            await transport.close()
        self._feed = self._subscription = self._next_try_at = None
        self._went_live.clear()
        self._poke.set()

    async def close(self) -> None:
        """End everything."""
        self.closed = True
        await self._cancel(*self._tasks)
        await self._stream_transport.close()
        await self._transport.close()

    def reborn(self) -> Session:
        """Return one that does the same with connections of its own; for a forked child."""
        child = Session(self._transport.fresh(), self._replica, self._config)
        child.closed = self.closed
        child._polls = self._polls  # noqa: SLF001
        child._subscription = self._subscription  # noqa: SLF001
        if self._stream_transport is not self._transport:
            child._stream_transport = self._stream_transport.fresh()  # noqa: SLF001
        return child

    async def resume(self) -> None:
        """Begin again what the session that this one is reborn from was doing."""
        subscription, transport = self._subscription, self._stream_transport
        # Not to be closed by `disable`: it is what comes next.
        self._stream_transport = self._transport
        if subscription is not None:
            await self.enable(transport, subscription, timeout=0)
        else:
            self._poll()

    # What it says of itself.

    @property
    def live(self) -> bool:
        """Whether the stream is live."""
        return self._feed is not None and self._feed.live

    def status(self) -> Status:
        """Return the state at this moment; from any thread."""
        replica, feed, retry_at = self._replica, self._feed, self._next_try_at
        fetched_at = replica.fetched_at
        now = time.monotonic()
        cursor = replica.cursor
        return Status(
            state=self._state(),
            cursor=None if cursor is None else str(cursor),
            staleness=None if fetched_at is None else max(0.0, now - fetched_at),
            last_error=self._error,
            attempt=0 if feed is None else feed.attempt,
            next_retry=None if retry_at is None else max(0.0, retry_at - now),
        )

    def _state(self) -> State:
        if self.closed:
            return State.CLOSED
        if self.live and self._replica.ruleset is not None:
            return State.LIVE
        if isinstance(self._error, Refused):
            return State.REJECTED
        if self._replica.snapshot is None:
            return State.STARTING
        if self._feed is None and not self._polls:
            return State.OFFLINE
        return State.POLLING if self._error is None and self._polls else State.STALE

    # What the stream's loop calls (`follow.Follower`).

    async def deliver(self, update: Update) -> None:
        """Take an update of the stream."""
        feed = self._feed
        if feed is None:
            return
        if feed.protocol:
            self._replica.apply(update, verify=not feed.filtered)
        else:
            self._plain_news.set()

    async def restart(self, reason: str) -> Cursor:
        """Fetch the snapshot that the stream can't bridge to."""
        _log.debug("fetching the snapshot: %s", reason)
        fetched = await self._fetch(conditional=False, timeout=self._config.request_timeout)
        held = self._replica.cursor or Cursor("", 0)
        if fetched.epoch == held.epoch and fetched.revision < held.revision:
            raise StreamBroken(f"the server is at {fetched}, behind {held}: waiting for it, or another", kind="behind")
        return held

    def connected(self) -> None:
        """Note that the stream is live."""
        self._error = None
        self._next_try_at = None
        self._went_live.set()
        self._poke.set()
        if self._feed is not None and not self._feed.protocol:
            self._start("plain", self._follow_plain())
        _log.info("stream of %s is live", self._stream_transport.base_url)

    def disconnected(self, error: Exception, delay: float | None) -> None:
        """Note that the stream ended."""
        if self._went_live.is_set():
            self._down_since = self._clock()
        self._went_live.clear()
        self._error = error
        self._next_try_at = None if delay is None else time.monotonic() + delay
        self._poke.set()

    # How snapshots come.

    async def _fetch(self, *, conditional: bool, timeout: float) -> Cursor:
        replica = self._replica
        async with self._fetching:
            tag = replica.etag if conditional and replica.ruleset is not None else None
            answer = await self._transport.send(
                "GET",
                SNAPSHOT_PATH,
                query=(("view", "full"),),
                headers={} if tag is None else {"If-None-Match": tag},
                timeout=timeout,
                max_bytes=self._config.max_snapshot_bytes,
            )
            if answer.status == 304:
                # Only of the state that was asked about: an update may have come meanwhile.
                if replica.etag == tag:
                    replica.confirm()
                return replica.cursor or Cursor("", 0)
            snapshot = decode_snapshot(answer.body)
            if replica.put(snapshot, answer.etag) and self._feed is not None:
                self._feed.moved(snapshot.cursor)
            if not self._went_live.is_set() and self._feed is None:
                self._error = None
            return snapshot.cursor

    def _poll(self) -> None:
        if (self._polls or self._feed is not None) and "poll" not in self._tasks:
            self._start("poll", self._keep_polling())

    async def _keep_polling(self) -> None:
        backoff = Backoff(
            base_delay=1.0, max_delay=self._config.refresh_interval, stable_after=0.0, random=random.random
        )
        asked_at, delay = self._clock(), None if self._replica.ruleset is not None else backoff.next_delay()
        while True:
            due = None if (wait := delay if delay is not None else self._interval()) is None else asked_at + wait
            if not await self._poked(due):
                continue_at = self._clock()
                asked_at, delay = continue_at, await self._try_refresh(backoff)

    async def _poked(self, due: float | None) -> bool:
        """Wait until `due`, the loop's time; return True if something changed that moves it."""
        self._poke.clear()
        try:
            async with asyncio.timeout_at(due):
                await self._poke.wait()
        except TimeoutError:
            return False
        return True

    async def _try_refresh(self, backoff: Backoff) -> float | None:
        """Refresh; return the seconds to the next try if this one failed."""
        try:
            await self._fetch(conditional=True, timeout=self._config.request_timeout)
        except FlagentError as exc:
            self._error = exc
            asked = getattr(exc, "retry_after", None)
            delay = backoff.next_delay(slow=isinstance(exc, Refused), asked=asked)
            _log.info("no snapshot: %s; next try in %.1f s", exc, delay)
            return delay
        except Exception as exc:
            self._error = exc
            _log.exception("the refresh failed in a way that was not foreseen")
            return backoff.next_delay()
        backoff.healthy_for(0.0)
        return None

    def _interval(self) -> float | None:
        config = self._config
        if self.live:
            varied = 1 + _SAFETY_JITTER * (2 * random.random() - 1)  # noqa: S311
            return config.safety_poll_interval * varied if config.safety_poll_interval else None
        if self._feed is not None:
            grace = self._down_since + STREAM_GRACE - self._clock()
            return max(grace, config.refresh_interval) if grace > 0 else config.refresh_interval
        return config.refresh_interval if self._polls else None

    async def _follow_plain(self) -> None:
        """Refresh after each event of a plain Flagent server: one request in flight, one pending."""
        while True:
            await self._plain_news.wait()
            self._plain_news.clear()
            await self._refresh_plain()
            try:
                async with asyncio.timeout(_PLAIN_REPEAT):
                    await self._plain_news.wait()
            except TimeoutError:
                await self._refresh_plain()

    async def _refresh_plain(self) -> None:
        try:
            await self._fetch(conditional=True, timeout=self._config.request_timeout)
        except FlagentError as exc:
            # The next event, or the poll, asks again.
            self._error = exc
            _log.info("no snapshot after an event: %s", exc)

    # Tasks.

    async def _wait_live(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._went_live.wait()
        except TimeoutError:
            if isinstance(self._error, FlagentError):
                raise self._error from None
            message = f"the stream of {self._stream_transport.base_url} was not live within {timeout:g} s"
            raise TransportError(message, kind="timeout") from None

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        old = self._tasks.get(name)
        if old is not None and not old.done():
            work.close()
            return
        self._tasks[name] = asyncio.create_task(work, name=f"flagent-{name}")

    async def _cancel(self, *names: str) -> None:
        tasks = [task for name in names if (task := self._tasks.pop(name, None)) is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    def _clock(self) -> float:
        return asyncio.get_running_loop().time()

    def _check_open(self) -> None:
        if self.closed:
            raise Closed("the manager was closed")


def ready(replica: Replica) -> None:
    """Check that there is a snapshot.

    Raises:
        NotReady: there is none.
    """
    if replica.snapshot is None:
        raise NotReady("there is no snapshot yet: call bootstrap()")


_Keys = Sequence[str] | None
