"""What a manager has running on an event loop: polling, and the stream if one is enabled.

Both managers have one. It is made without doing anything, works as soon as one of its coroutines
is awaited, and can be replaced by another on the same replica: that is what a forked child does.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from ..core.changes import Change, Cursor, Delta
from ..errors import FlagentError, HTTPStatusError, NotReady, Refused, TransportError
from ..wire.codec import FlagEvent
from ..wire.feed import Checkpoint, Feed
from .config import ClientSettings, OfflineConfig
from .follow import Follower
from .history import History, Pulse
from .plan import Plan, Subscription
from .poll import STRAY, Poller
from .refresh import Refresher
from .replica import Replica
from .status import Source, State, Status
from .transport import Transport

_log = logging.getLogger("flagent.client")

#: Seconds after an event of a plain Flagent server at which its answers show the change for certain: it has a cache.
_CACHE_AGE = 4.0
#: Seconds before the second try to load the first snapshot; doubled with each failure, up to the limit.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
#: Statuses below 500 that a second try may get past.
_TEMPORARY = frozenset({408, 425, 429})


class Session:
    """Keeps a replica up to date.

    Args:
        settings: how to reach the server.
        config: how often.
        replica: what is kept.
        plan: what to do once `resume` is awaited.

    Attributes:
        settings: see above.
        plan: what it is meant to do by now.
    """

    def __init__(
        self, settings: ClientSettings, config: OfflineConfig, replica: Replica, plan: Plan | None = None
    ) -> None:
        self.settings = settings
        self.plan = plan or Plan()
        self._config = config
        self._replica = replica
        self._transport = Transport(settings)
        self._refresher = Refresher(self._transport, replica, config, self.note)
        self._poller = Poller(self._refresher, config, lambda: self._follower)
        self._follower: Follower | None = None
        self._follow_task: asyncio.Task[None] | None = None
        self._poll_task: asyncio.Task[None] | None = None
        self._pulse = Pulse()
        self._history = History(settings.root)

    async def bootstrap(self, *, force_refresh: bool, timeout: float) -> None:
        """Load a snapshot, unless one is held; begin to poll if that is configured.

        Raises:
            FlagentError: no snapshot could be loaded; polling goes on trying.
        """
        if self._config.auto_refresh:
            self._start_polling()
        if self._replica.ruleset is not None and not force_refresh:
            return
        try:
            async with asyncio.timeout(timeout):
                await self._load(force_refresh)
        except FlagentError:
            self._poller.ask(self._config.reconnect_delay)
            raise
        except TimeoutError:
            self._poller.ask(self._config.reconnect_delay)
            raise self._refresher.last_error or TransportError(
                f"no snapshot from {self.settings.root} within {timeout:g} s", kind="timeout"
            ) from None

    async def refresh(self) -> None:
        """Ask for a newer snapshot."""
        try:
            await self._refresher.refresh()
        finally:
            self._poller.reconsider()

    async def follow(self, subscription: Subscription, timeout: float) -> None:
        """Follow the stream, instead of another one if there is one; wait until it is live.

        Raises:
            FlagentError: it is not, within `timeout` seconds; 0 does not wait. It goes on trying.
        """
        if subscription != self.plan.subscription or self._follower is None:
            await self.unfollow()
            self._begin_following(subscription)
        if timeout > 0 and self._follower is not None:
            await self._follower.wait_live(timeout)

    async def unfollow(self) -> None:
        """End the stream."""
        self.plan = replace(self.plan, subscription=None)
        task, self._follower, self._follow_task = self._follow_task, None, None
        await _cancelled(task)
        self._poller.reconsider()

    async def clear(self) -> None:
        """Forget the flags; a stream that is followed loads them again."""
        subscription = self.plan.subscription
        await self.unfollow()
        self._replica.clear()
        if subscription is not None:
            self._begin_following(subscription)

    def end(self) -> None:
        """Begin nothing any more; `close` is still to be awaited if anything was begun."""
        self.plan = replace(self.plan, closed=True)
        self._history.note(State.CLOSED)

    async def close(self) -> None:
        """End everything; nothing can be begun any more."""
        self.end()
        self._pulse.beat()
        poll_task, self._poll_task = self._poll_task, None
        await self.unfollow()
        await _cancelled(poll_task)
        await self._transport.aclose()

    def forget(self) -> None:
        """Cancel what runs, without waiting for it; from any thread."""
        for task in (self._follow_task, self._poll_task):
            if task is not None and not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)

    @property
    def runs(self) -> bool:
        """Whether anything is running that has to be ended."""
        return any(task is not None and not task.done() for task in (self._follow_task, self._poll_task))

    def abandon(self) -> Session:
        """Return a session that will do what this one did; for a forked child, which can't use what its parent has."""
        self._transport.let_go()
        return Session(self.settings, self._config, self._replica, self.plan)

    async def resume(self) -> None:
        """Begin what is planned and does not run yet."""
        if self.plan.polls:
            self._start_polling()
        if self.plan.subscription is not None and self._follower is None:
            self._begin_following(self.plan.subscription)

    def is_live(self) -> bool:
        """Return whether the stream is up; from any thread."""
        follower = self._follower
        return follower is not None and follower.live

    async def wait_ready(self, *, live: bool, timeout: float) -> bool:
        """Return whether there are flags, and with `live` the stream is up, within `timeout` seconds."""

        def ready() -> bool:
            return self._replica.ruleset is not None and (self.is_live() or not live)

        return await self._pulse.wait_for(lambda: ready() or self.plan.closed, timeout) and ready()

    def note(self) -> None:
        """Note that something may be different now; on the event loop."""
        self._history.note(self._state(self._last_error(), held=self._replica.ruleset is not None))
        self._pulse.beat()

    def status(self) -> Status:
        """Return the state of things; from any thread."""
        follower, replica, now = self._follower, self._replica, time.monotonic()
        ruleset = replica.ruleset
        retry_at = None if follower is None else follower.retry_at
        error = self._last_error()
        state = self._state(error, held=ruleset is not None)
        return Status(
            state=state,
            since=self._history.since(state),
            cursor=None if ruleset is None or not ruleset.snapshot.epoch else str(ruleset.snapshot.cursor),
            source=replica.source,
            staleness=replica.age(),
            staleness_bound=self._staleness_bound(state),
            last_error=error,
            attempt=0 if follower is None else follower.feed.attempt,
            retry_in=None if retry_at is None else max(0.0, retry_at - now),
            divergences=replica.divergences,
        )

    def _staleness_bound(self, state: State) -> float | None:
        if state is State.LIVE and self._follower is not None:
            return self._follower.feed.patience
        if state is not State.POLLING:
            return None
        # Give or take what the intervals between polls stray, and the time that one may take.
        polls = self._config.refresh_interval * (1 + STRAY) + self._config.request_timeout
        # Polls take over from a stream after a while.
        return polls if self._follower is None else polls + self._config.fallback_after

    def deliver(self, update: Change | Delta | FlagEvent | Checkpoint, feed: Feed) -> None:
        """Take an update of the stream (`follow.Receiver`)."""
        if isinstance(update, FlagEvent):
            # A plain Flagent server: the event says that something changed, and nothing to apply.
            self._poller.ask(0.0, _CACHE_AGE)
        elif isinstance(update, Checkpoint):
            self._replica.check(update)
        elif feed.cursor is not None:
            self._replica.apply(update, _cursor_of(update, feed.cursor), filtered=feed.filtered)

    async def restart(self, reason: str, feed: Feed) -> Cursor:
        """Load a snapshot for the stream (`follow.Receiver`)."""
        _log.debug("loading a snapshot: %s", reason)
        await self._refresher.refresh(force=True)
        if not feed.protocol:
            self._poller.ask(_CACHE_AGE)
        ruleset = self._replica.ruleset
        if ruleset is None:
            raise NotReady("the flags were cleared while they were loaded")
        return ruleset.snapshot.cursor

    def heard(self) -> None:
        """Note that the stream has said everything up to now (`follow.Receiver`)."""
        self._replica.confirm(Source.STREAM)

    def changed(self) -> None:
        """Note that the stream came or went (`follow.Receiver`)."""
        self._poller.reconsider()
        self.note()

    async def _load(self, force: bool) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._refresher.refresh(force=force)
                return
            except HTTPStatusError as exc:
                # Refusals stay; a server that is starting, or has too much to do, is soon back.
                if isinstance(exc, Refused) or (exc.status < 500 and exc.status not in _TEMPORARY):
                    raise
                _log.info("no snapshot yet: %s; trying again", exc)
                retry_after = exc.retry_after or 0.0
            await asyncio.sleep(max(pause, retry_after))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _begin_following(self, subscription: Subscription) -> None:
        if self.plan.closed:
            return
        feed = Feed(
            self._replica.cursor,
            flag_keys=subscription.flag_keys,
            flag_ids=subscription.flag_ids,
            base_delay=self._config.reconnect_delay,
            max_delay=self._config.max_reconnect_delay,
            random=random.random,
        )
        self.plan = replace(self.plan, subscription=subscription)
        self._follower = Follower(self._transport, subscription.root, feed, self)
        self._follow_task = _task(self._follower.run(), "flagent stream")
        self._start_polling()

    def _start_polling(self) -> None:
        if not self.plan.closed and self._poll_task is None:
            self.plan = replace(self.plan, polls=True)
            self._poll_task = _task(self._poller.run(), "flagent polling")

    def _last_error(self) -> FlagentError | None:
        follower = self._follower
        if follower is not None and not follower.live and follower.last_error is not None:
            return follower.last_error
        return self._refresher.last_error

    def _state(self, error: FlagentError | None, *, held: bool) -> State:
        if self.plan.closed:
            return State.CLOSED
        if self.is_live() and held:
            return State.LIVE
        polls = self._poll_task is not None and self._config.auto_refresh
        if held and polls and self._refresher.last_error is None:
            return State.POLLING
        if isinstance(error, Refused):
            return State.REJECTED
        if error is not None:
            return State.OFFLINE
        return State.STALE if held else State.STARTING


def _cursor_of(update: Change | Delta, newest: Cursor) -> Cursor:
    # The feed may be further already, with the updates that came in the same chunk.
    return update.cursor if isinstance(update, Delta) else Cursor(newest.epoch, update.revision)


def _task(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work, name=name)


async def _cancelled(task: asyncio.Task[None] | None) -> None:
    if task is None or task is asyncio.current_task():
        return
    task.cancel()
    # Waits for its end without taking over what it raises; the task logs that by itself.
    await asyncio.wait([task])
