"""What a manager has running on an event loop: polling, and the stream if one is enabled.

Both managers have one. It is made without doing anything, works as soon as one of its coroutines
is awaited, and can be replaced by another on the same replica: that is what a forked child does.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.changes import Change, Cursor, Delta
from ..core.evaluation import Ruleset
from ..errors import FlagentError, NotReady
from ..wire.codec import FlagEvent
from ..wire.feed import Checkpoint, Feed
from .config import ClientSettings, OfflineConfig
from .disk import DiskCache, default_folder
from .first import load_within
from .follow import Follower
from .history import History, Pulse
from .listeners import Listeners
from .plan import Plan, Subscription
from .poll import Poller
from .refresh import Refresher
from .replica import Replica
from .report import Report
from .saving import Saver
from .status import Source, Status
from .transport import Transport

_log = logging.getLogger("flagent.client")

#: Seconds after an event of a plain Flagent server at which its answers show the change for certain: it has a cache.
_CACHE_AGE = 4.0


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
        self._follow_task: asyncio.Task[None] | None = None
        self._poll_task: asyncio.Task[None] | None = None
        self._saver = _saver(settings, config, replica)
        self._save_task: asyncio.Task[None] | None = None
        self._pulse = Pulse()
        self._report = Report(config, replica, self._refresher, self._saver, History(settings.root))

    async def bootstrap(self, *, force_refresh: bool, timeout: float) -> None:
        """Load a snapshot, unless one is held; begin to poll if that is configured.

        Raises:
            FlagentError: there is none, neither from the server nor from disk; polling goes on trying.
        """
        if self._config.auto_refresh:
            self._start_polling()
        await self._start_saving()
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
        await self._start_saving()
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
        self._report.note(self.plan, self._follower)

    async def close(self) -> None:
        """End everything; nothing can be begun any more."""
        self.end()
        self._pulse.beat()
        poll_task, self._poll_task = self._poll_task, None
        save_task, self._save_task = self._save_task, None
        await self.unfollow()
        await _cancelled(poll_task)
        await _cancelled(save_task)
        if self._saver is not None and save_task is not None:
            await self._saver.save()
        await self._transport.aclose()

    def forget(self) -> None:
        """Cancel what runs, without waiting for it; from any thread."""
        for task in (self._follow_task, self._poll_task, self._save_task):
            if task is not None and not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)

    @property
    def runs(self) -> bool:
        """Whether anything is running that has to be ended."""
        return any(
            task is not None and not task.done() for task in (self._follow_task, self._poll_task, self._save_task)
        )

    def abandon(self) -> Session:
        """Return a session that will do what this one did; for a forked child, which can't use what its parent has."""
        self._transport.let_go()
        return Session(self.settings, self._config, self._replica, self._listeners, self.plan)

    async def resume(self) -> None:
        """Begin what is planned and does not run yet."""
        await self._start_saving()
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
        self._follow_task = _task(self._follower.run(), "flagent stream")
        self._start_polling()

    def _start_polling(self) -> None:
        if not self.plan.closed and self._poll_task is None:
            self.plan = replace(self.plan, polls=True)
            self._poll_task = _task(self._poller.run(), "flagent polling")

    def _updated(self, before: Ruleset | None, after: Ruleset, keys: Iterable[str] | None) -> None:
        self._listeners.updated(before, after, keys)
        if self._saver is not None:
            self._saver.updated()

    async def _start_saving(self) -> None:
        if self._saver is None or self._save_task is not None or self.plan.closed:
            return
        self._save_task = _task(self._saver.run(), "flagent saving")
        if self._replica.ruleset is None:
            await self._saver.load()
            self.note()


def _saver(settings: ClientSettings, config: OfflineConfig, replica: Replica) -> Saver | None:
    if not config.enable_persistence:
        return None
    folder = default_folder() if config.storage_dir is None else Path(config.storage_dir)
    return Saver(DiskCache(folder, settings.root, settings.api_key, config.max_snapshot_bytes), replica)


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
