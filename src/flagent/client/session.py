"""What a manager has running on an event loop: polling, and the stream if one is enabled.

Both managers have one. It is made without doing anything, works as soon as one of its coroutines
is awaited, and can be replaced by another on the same replica: that is what a forked child does.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable
from dataclasses import replace

from ..core.changes import Change, Cursor, Delta
from ..core.evaluation import Ruleset
from ..errors import FlagentError, NotReady
from ..wire.codec import FlagEvent
from ..wire.feed import Checkpoint, Feed
from .config import ClientSettings, OfflineConfig
from .first import load_within
from .follow import Follower
from .history import History, Pulse
from .listeners import Listeners
from .plan import Plan, Subscription
from .poll import Poller
from .refresh import Refresher
from .replica import Replica
from .report import Report
from .saving import saver_of
from .staleness import StaleWatch
from .status import Source, Status
from .suspension import SleepWatch
from .tasks import Tasks
from .transport import Transport

_log = logging.getLogger("flagent.client")

#: Seconds after an event of a plain Flagent server at which its answers show the change for certain: it has a cache.
_CACHE_AGE = 4.0
#: What may run, by name.
_STREAM, _POLLING, _SAVING, _STALENESS, _SLEEP = "stream", "polling", "saving", "staleness", "sleep"


class Session:
    """Keeps a replica up to date.

    Args:
        settings: how to reach the server.
        config: how often.
        replica: what is kept.
        listeners: who is told what changed.
        plan: what to do once `resume` is awaited.

    Attributes:
        settings: see above.
        plan: what it is meant to do by now.
        stale_watch: who wants to know when flags are stale.
    """

    def __init__(
        self,
        settings: ClientSettings,
        config: OfflineConfig,
        replica: Replica,
        listeners: Listeners,
        plan: Plan | None = None,
    ) -> None:
        self.settings = settings
        self.plan = plan or Plan()
        self._config = config
        self._replica = replica
        self._listeners = listeners
        # Not a method of the manager, which has to be free to be forgotten.
        replica.updated = self._updated
        self._transport = Transport(settings)
        self._refresher = Refresher(self._transport, replica, config, self.note)
        self._poller = Poller(self._refresher, config, lambda: self._follower)
        self._follower: Follower | None = None
        self._tasks = Tasks()
        self._saver = saver_of(settings, config, replica)
        self._pulse = Pulse()
        self._report = Report(config, replica, self._refresher, self._saver, History(settings.root))
        self.stale_watch = StaleWatch(replica, listeners, self.status)

    async def bootstrap(self, *, force_refresh: bool, timeout: float) -> None:
        """Load a snapshot, unless one is held; begin to poll if that is configured.

        Raises:
            FlagentError: there is none, neither from the server nor from disk; polling goes on trying.
        """
        if self._config.auto_refresh:
            self._start_polling()
        await self._start_helpers()
        if self._replica.ruleset is not None and self._replica.source is not Source.DISK and not force_refresh:
            return
        try:
            await load_within(self._refresher, timeout, force=force_refresh, root=self.settings.root)
        except FlagentError as exc:
            self._poller.ask(self._config.reconnect_delay)
            if self._replica.source is not Source.DISK:
                raise
            _log.warning("going on with the flags from disk: %s", exc)

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
        await self._start_helpers()
        if subscription != self.plan.subscription or self._follower is None:
            await self.unfollow()
            self._begin_following(subscription)
        if timeout > 0 and self._follower is not None:
            await self._follower.wait_live(timeout)

    async def unfollow(self) -> None:
        """End the stream."""
        self.plan = replace(self.plan, subscription=None)
        self._follower = None
        await self._tasks.end(_STREAM)
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
        self._report.note(self.plan, self._follower)

    async def close(self) -> None:
        """End everything; nothing can be begun any more."""
        self.end()
        self._pulse.beat()
        saves = _SAVING in self._tasks
        await self.unfollow()
        await self._tasks.end()
        if self._saver is not None and saves:
            await self._saver.save()
        await self._transport.aclose()

    def forget(self) -> None:
        """Cancel what runs, without waiting for it; from any thread."""
        self._tasks.forget()

    @property
    def runs(self) -> bool:
        """Whether anything is running that has to be ended."""
        return self._tasks.run

    def abandon(self) -> Session:
        """Return a session that will do what this one did; for a forked child, which can't use what its parent has."""
        self._transport.let_go()
        child = Session(self.settings, self._config, self._replica, self._listeners, self.plan)
        child.stale_watch.take_over(self.stale_watch)
        return child

    async def resume(self) -> None:
        """Begin what is planned and does not run yet."""
        await self._start_helpers()
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
        self._report.note(self.plan, self._follower)
        self._pulse.beat()

    def status(self) -> Status:
        """Return the state of things; from any thread."""
        return self._report.status(self.plan, self._follower)

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
        self._tasks.start(_STREAM, self._follower.run)
        self._start_polling()

    def _start_polling(self) -> None:
        if not self.plan.closed:
            self.plan = replace(self.plan, polls=True)
            self._tasks.start(_POLLING, self._poller.run)
            self._tasks.start(_SLEEP, SleepWatch(self._woke).run)

    def _updated(self, before: Ruleset | None, after: Ruleset, keys: Iterable[str] | None) -> None:
        self._listeners.updated(before, after, keys)
        if self._saver is not None:
            self._saver.updated()

    async def _woke(self, slept: float) -> None:
        """Ask anew for everything at once: connections may be dead, and waits began before the machine slept."""
        # Whole fleets of virtual machines wake at the same moment.
        await asyncio.sleep(random.uniform(0.0, self._config.reconnect_delay))  # noqa: S311
        _log.info("awake after %.0f s: beginning anew with %s", slept, self.settings.root)
        subscription = self.plan.subscription
        if subscription is None:
            self._poller.ask(0.0)
        else:
            await self.unfollow()
            self._begin_following(subscription)

    async def watch(self) -> None:
        """Begin to watch for staleness, if anybody wants to know."""
        self.begin_to_watch()

    def begin_to_watch(self) -> None:
        """Begin to watch for staleness, on the event loop that runs here.

        Raises:
            RuntimeError: there is none.
        """
        if len(self.stale_watch) and not self.plan.closed:
            self._tasks.start(_STALENESS, self.stale_watch.run)

    async def _start_helpers(self) -> None:
        self.begin_to_watch()
        if self._saver is None or _SAVING in self._tasks or self.plan.closed:
            return
        self._tasks.start(_SAVING, self._saver.run)
        if self._replica.ruleset is None:
            await self._saver.load()
            self.note()


def _cursor_of(update: Change | Delta, newest: Cursor) -> Cursor:
    # The feed may be further already, with the updates that came in the same chunk.
    return update.cursor if isinstance(update, Delta) else Cursor(newest.epoch, update.revision)
