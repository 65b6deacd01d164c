"""What a manager has running on an event loop: polling, and the stream if one is enabled.

Both managers have one. It is made without doing anything, works as soon as one of its coroutines
is awaited, and can be replaced by another on the same replica: that is what a forked child does.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

from ..core.evaluation import Ruleset
from ..errors import ConfigurationError, FlagentError
from . import plain
from .config import ClientSettings, OfflineConfig
from .first import load_within, prewarm
from .follow import Follower
from .history import History, Pulse
from .listeners import Listeners
from .origins import origin_of
from .plan import Plan, Subscription
from .poll import Poller
from .receiver import ReplicaReceiver
from .refresh import Refresher
from .replica import Replica
from .report import Report
from .saving import saver_of
from .staleness import StaleWatch
from .status import Source, Status
from .suspension import SleepWatch
from .targets import Target, is_given
from .tasks import Tasks
from .transport import Transport

_log = logging.getLogger("flagent.client")

#: What may run, by name.
_STREAM, _POLLING, _SAVING, _STALENESS = "stream", "polling", "saving", "staleness"
_SLEEP, _WARMING = "sleep", "warming"


class Session:
    """Keeps a replica up to date.

    Args:
        target: where the flags come from.
        config: how often.
        replica: what is kept.
        listeners: who is told what changed.
        plan: what to do once `resume` is awaited.

    Attributes:
        target: see above.
        plan: what it is meant to do by now.
        stale_watch: who wants to know when flags are stale.
    """

    def __init__(
        self,
        target: Target,
        config: OfflineConfig,
        replica: Replica,
        listeners: Listeners,
        plan: Plan | None = None,
    ) -> None:
        self.target = target
        self.plan = plan or Plan()
        self._config = config
        self._replica = replica
        self._listeners = listeners
        # Not a method of the manager, which has to be free to be forgotten.
        replica.updated = self._updated
        self._transport = Transport(target) if isinstance(target, ClientSettings) else None
        self._refresher = Refresher(origin_of(target, self._transport, config), replica, self.note)
        self._poller = Poller(self._refresher, config, lambda: self._follower)
        self._follower: Follower | None = None
        self._tasks = Tasks()
        self._saver = saver_of(target, config, replica)
        self._pulse = Pulse()
        history = History(target.name)
        self._report = Report(config, replica, self._refresher, self._saver, history, given=is_given(target))
        self.stale_watch = StaleWatch(replica, listeners, self.status)

    async def bootstrap(self, *, force_refresh: bool, timeout: float) -> None:
        """Load a snapshot, unless one is held; begin to poll if that is configured.

        Raises:
            FlagentError: there is none, neither from the server nor from disk; polling goes on trying.
        """
        async with self._at_work():
            await self._bootstrap(force_refresh=force_refresh, timeout=timeout)

    async def _bootstrap(self, *, force_refresh: bool, timeout: float) -> None:
        if self._config.auto_refresh:
            self._start_polling()
        await self._start_helpers()
        if self._replica.ruleset is not None and self._replica.source is not Source.DISK and not force_refresh:
            return
        try:
            await load_within(self._refresher, timeout, force=force_refresh, name=self.target.name)
        except FlagentError as exc:
            self._poller.ask(self._config.reconnect_delay)
            if self._replica.source is not Source.DISK:
                raise
            _log.warning("going on with the flags from disk: %s", exc)
        held = self._replica.ruleset
        if isinstance(self.target, ClientSettings) and held is not None and plain.is_plain(held.snapshot):
            self._poller.ask(plain.CACHE_AGE)

    async def prewarm(self) -> None:
        """Begin to load a snapshot, and to compile its flags."""
        load = partial(self._bootstrap, force_refresh=False, timeout=self._config.request_timeout)
        self._tasks.start(_WARMING, partial(prewarm, load, self._replica))

    async def refresh(self, max_age: float = 0.0) -> None:
        """Ask for a newer snapshot, unless the flags were known to be current within `max_age` seconds."""
        age = self._replica.age()
        if age is not None and age < max_age:
            return
        async with self._at_work():
            try:
                await self._refresher.refresh()
            finally:
                self._poller.reconsider()

    async def follow(self, subscription: Subscription, timeout: float) -> None:
        """Follow the stream, instead of another one if there is one; wait until it is live.

        Raises:
            FlagentError: it is not, within `timeout` seconds; 0 does not wait. It goes on trying.
            ConfigurationError: it works on demand only.
        """
        if self._transport is None:
            _log.info("%s: no server, so there is no stream to follow", self.target.name)
            return
        if self._config.on_demand:
            raise ConfigurationError("on_demand: there is no stream without something that runs; call refresh()")
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
        # All at once: without its stream the poller would begin one more download before it is ended, too.
        self.plan, self._follower = replace(self.plan, subscription=None), None
        await self._refresher.stop()
        await self._rest()

    async def _rest(self) -> None:
        saves = _SAVING in self._tasks
        await self._tasks.end()
        if self._saver is not None and saves:
            await self._saver.save()
        if self._transport is not None:
            await self._transport.aclose()

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if self._config.on_demand:
                await self._rest()

    def forget(self) -> None:
        """Cancel what runs, without waiting for it; from any thread."""
        self._tasks.forget()

    @property
    def runs(self) -> bool:
        """Whether anything is running that has to be ended."""
        return self._tasks.run

    def abandon(self) -> Session:
        """Return a session that will do what this one did; for a forked child, which can't use what its parent has."""
        if self._transport is not None:
            self._transport.let_go()
        child = Session(self.target, self._config, self._replica, self._listeners, self.plan)
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

        if self._config.on_demand and not ready():
            # Nobody else will load them.
            with suppress(FlagentError):
                await self.bootstrap(force_refresh=False, timeout=timeout)
            return ready()
        return await self._pulse.wait_for(lambda: ready() or self.plan.closed, timeout) and ready()

    def note(self) -> None:
        """Note that something may be different now; on the event loop."""
        self._report.note(self.plan, self._follower)
        self._pulse.beat()

    def status(self) -> Status:
        """Return the state of things; from any thread."""
        return self._report.status(self.plan, self._follower)

    def _begin_following(self, subscription: Subscription) -> None:
        if self.plan.closed or self._transport is None:
            return
        receiver = ReplicaReceiver(subscription, self._config, self._replica, self._refresher, self._poller, self.note)
        self.plan = replace(self.plan, subscription=subscription)
        self._follower = Follower(self._transport, subscription.root, receiver.feed(), receiver)
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
        _log.info("awake after %.0f s: beginning anew with %s", slept, self.target.name)
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
