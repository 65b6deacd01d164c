"""What a session has running on an event loop: polling, and the stream if one is enabled."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, FlagentError
from . import plain
from .config import ClientSettings
from .first import load_within, prewarm
from .follow import Follower
from .origins import origin_of
from .plan import Subscription
from .poll import Poller
from .pulse import Pulse
from .receiver import ReplicaReceiver
from .refresh import Refresher
from .saving import saver_of
from .states import Source
from .suspension import SleepWatch
from .tasks import Tasks
from .transport import Transport

if TYPE_CHECKING:
    from .session import Session

_log = logging.getLogger("flagent.client")

#: What may run, by name.
_STREAM, _POLLING, _SAVING, _STALENESS = "stream", "polling", "saving", "staleness"
_SLEEP, _WARMING = "sleep", "warming"


class Upkeep:
    """Does what a session is meant to do.

    Args:
        session: whose plan it is.

    Attributes:
        follower: the stream that is followed at the moment, or None.
        refresher: has loaded snapshots.
        poller: lets it do so now and then.
        saver: keeps them on disk; None where nothing does.
        tasks: what runs.
    """

    def __init__(self, session: Session) -> None:
        target, self._config, self._replica = session.target, session.config, session.replica
        self._session = session
        self.follower: Follower | None = None
        self._transport = Transport(target) if isinstance(target, ClientSettings) else None
        self.refresher = Refresher(origin_of(target, self._transport, self._config), self._replica, self._note)
        self.poller = Poller(self.refresher, self._config, lambda: self.follower)
        self.tasks = Tasks()
        self.saver = saver_of(target, self._config, self._replica)
        self._pulse = Pulse()

    async def bootstrap(self, *, force_refresh: bool, timeout: float) -> None:
        """Load a snapshot (`Session.bootstrap`)."""
        async with self._at_work():
            await self._bootstrap(force_refresh=force_refresh, timeout=timeout)

    async def _bootstrap(self, *, force_refresh: bool, timeout: float) -> None:
        if self._config.auto_refresh:
            self._start_polling()
        await self._start_helpers()
        if self._replica.ruleset is not None and self._replica.source is not Source.DISK and not force_refresh:
            return
        try:
            await load_within(self.refresher, timeout, force=force_refresh, name=self._session.target.name)
        except FlagentError as exc:
            self.poller.ask(self._config.reconnect_delay)
            if self._replica.source is not Source.DISK:
                raise
            _log.warning("going on with the flags from disk: %s", exc)
        held = self._replica.ruleset
        if self._transport is not None and held is not None and plain.is_plain(held.snapshot):
            self.poller.ask(plain.CACHE_AGE)

    def prewarm(self) -> None:
        """Begin to load a snapshot, and to compile its flags."""
        load = partial(self._bootstrap, force_refresh=False, timeout=self._config.request_timeout)
        self.tasks.start(_WARMING, partial(prewarm, load, self._replica))

    async def refresh(self) -> None:
        """Ask for a newer snapshot."""
        async with self._at_work():
            try:
                await self.refresher.refresh()
            finally:
                self.poller.reconsider()

    async def follow(self, subscription: Subscription, timeout: float) -> None:
        """Follow the stream (`Session.follow`)."""
        if self._transport is None:
            _log.info("%s: no server, so there is no stream to follow", self._session.target.name)
            return
        if self._config.on_demand:
            raise ConfigurationError("on_demand: there is no stream without something that runs; call refresh()")
        await self._start_helpers()
        if subscription != self._session.plan.subscription or self.follower is None:
            await self._session.unfollow()
            self._begin_following(subscription)
        if timeout > 0 and self.follower is not None:
            await self.follower.wait_live(timeout)

    async def unfollow(self) -> None:
        """End the stream, which is not planned any more."""
        self.follower = None
        await self.tasks.end(_STREAM)
        self.poller.reconsider()

    async def clear(self) -> None:
        """Forget the flags; a stream that is followed loads them again."""
        subscription = self._session.plan.subscription
        await self._session.unfollow()
        self._replica.clear()
        if subscription is not None:
            self._begin_following(subscription)

    async def close(self) -> None:
        """End everything; the plan says already that nothing can be begun any more."""
        self._pulse.beat()
        # All at once: without its stream the poller would begin one more download before it is ended, too.
        self._session.plan, self.follower = self._session.plan._replace(subscription=None), None
        await self.refresher.stop()
        await self._rest()

    async def _rest(self) -> None:
        saves = _SAVING in self.tasks
        await self.tasks.end()
        if self.saver is not None and saves:
            await self.saver.save()
        if self._transport is not None:
            await self._transport.aclose()

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if self._config.on_demand:
                await self._rest()

    def let_go(self) -> None:
        """Give up what a forked child has from its parent."""
        if self._transport is not None:
            self._transport.let_go()

    async def resume(self) -> None:
        """Begin what is planned and does not run yet."""
        await self._start_helpers()
        plan = self._session.plan
        if plan.polls:
            self._start_polling()
        if plan.subscription is not None and self.follower is None:
            self._begin_following(plan.subscription)

    def is_live(self) -> bool:
        """Return whether the stream is up; from any thread."""
        follower = self.follower
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
        return await self._pulse.wait_for(lambda: ready() or self._session.plan.closed, timeout) and ready()

    def begin_to_watch(self) -> None:
        """Begin to watch for staleness, if anybody wants to know."""
        if len(self._session.stale_watch) and not self._session.plan.closed:
            self.tasks.start(_STALENESS, self._session.stale_watch.run)

    def updated(self) -> None:
        """Note that other flags are held."""
        if self.saver is not None:
            self.saver.updated()

    def _note(self) -> None:
        self._session.note()
        self._pulse.beat()

    def _begin_following(self, subscription: Subscription) -> None:
        if self._session.plan.closed or self._transport is None:
            return
        receiver = ReplicaReceiver(subscription, self._config, self._replica, self.refresher, self.poller, self._note)
        self._session.plan = self._session.plan._replace(subscription=subscription)
        self.follower = Follower(self._transport, subscription.root, receiver.feed(), receiver)
        self.tasks.start(_STREAM, self.follower.run)
        self._start_polling()

    def _start_polling(self) -> None:
        if not self._session.plan.closed:
            self._session.plan = self._session.plan._replace(polls=True)
            self.tasks.start(_POLLING, self.poller.run)
            self.tasks.start(_SLEEP, SleepWatch(self._woke).run)

    async def _woke(self, slept: float) -> None:
        """Ask anew for everything at once: connections may be dead, and waits began before the machine slept."""
        # Whole fleets of virtual machines wake at the same moment.
        await asyncio.sleep(random.uniform(0.0, self._config.reconnect_delay))  # noqa: S311
        _log.info("awake after %.0f s: beginning anew with %s", slept, self._session.target.name)
        subscription = self._session.plan.subscription
        if subscription is None:
            self.poller.ask(0.0)
        else:
            await self._session.unfollow()
            self._begin_following(subscription)

    async def _start_helpers(self) -> None:
        self.begin_to_watch()
        if self.saver is None or _SAVING in self.tasks or self._session.plan.closed:
            return
        self.tasks.start(_SAVING, self.saver.run)
        if self._replica.ruleset is None:
            await self.saver.load()
            self._note()
