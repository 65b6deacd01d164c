"""The manager for asyncio: evaluation needs no `await`, everything that waits for the network does."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..errors import Closed, ConfigurationError
from .config import OfflineConfig
from .forks import after_in_child
from .local import LocalFlags
from .loop_thread import STOP_TIMEOUT
from .notifying import TaskNotifier
from .targets import Where

if TYPE_CHECKING:
    from asyncio import Task

    from ..core.evaluation import Ruleset
    from .mailbox import AsyncChanges


class AsyncOfflineManager(LocalFlags):
    """Holds all flags of a server in this process, keeps them fresh, and evaluates them here.

    Making one does no I/O; `bootstrap` does. Its coroutines belong to one event loop, its plain
    methods may be called from any thread. In a forked child it evaluates at once on what its parent held; with the
    first use on an event loop of the child it goes on there by itself.

        async with AsyncOfflineManager("http://localhost:18000") as manager:
            await manager.enable_realtime_updates()
            manager.is_enabled("new_feature", "user123", {"region": "EU"})

    Args:
        client: where the server is, as a URL or as the client that knows it. The manager makes
            connections of its own: the client need not be open, and is not closed. A path, or a URL such as
            `file:///etc/flags.json`, is a file with flags, which is looked at every second; a mapping is the flags.
        config: how to keep the flags fresh.

    Raises:
        ConfigurationError: the URL, or the flags, can't be used.
    """

    def __init__(self, client: Where, config: OfflineConfig | None = None) -> None:
        self._notifier = TaskNotifier()
        self._iterations: weakref.WeakSet[AsyncChanges] = weakref.WeakSet()
        super().__init__(client, config, self._notifier)
        self._inherited: Ruleset | None = None
        self._asleep = False
        self._resuming: Task[None] | None = None
        _managers.add(self)

    async def bootstrap(self, force_refresh: bool = False, timeout: float = 10.0) -> None:
        """Load the snapshot; return at once when there is one already.

        Args:
            force_refresh: whether to load it anew in that case.
            timeout: how many seconds it may take; a server that is not ready yet (HTTP 503) is asked again until then.

        Raises:
            Refused: the server does not accept this client, or there is none of ours at the address.
            FlagentError: there is no snapshot, for this reason. With `auto_refresh` polling goes on trying.
            Closed: the manager is closed.
        """
        self._check_open()
        await self._session.bootstrap(force_refresh=force_refresh, timeout=timeout)

    async def prewarm(self) -> None:
        """Begin to load the flags, and return at once; once there, they are made ready for a fast first evaluation.

        For a program that has other things to do at its start; `wait_until_ready`, or a bootstrap, waits for them.

        Raises:
            ConfigurationError: it works on demand only, so nothing goes on between calls.
            Closed: the manager is closed.
        """
        self._check_open()
        if self._config.on_demand and not self.is_ready():
            raise ConfigurationError("on_demand: nothing goes on between calls; await bootstrap()")
        await self._session.prewarm()

    async def wait_until_ready(self, timeout: float = 10.0, *, live: bool = False) -> bool:
        """Return whether there are flags to evaluate on, as soon as there are, or after `timeout` seconds.

        For a program whose bootstrap failed, or is done by another task.

        Args:
            timeout: how many seconds to wait.
            live: whether to wait until the stream is up, too.

        Raises:
            Closed: the manager is closed.
        """
        self._check_open()
        return await self._session.wait_ready(live=live, timeout=timeout)

    async def refresh(self, max_age: float = 0.0) -> None:
        """Ask the server for a newer snapshot now.

        Args:
            max_age: seconds; flags that were known to be current this long ago are good enough, and nothing is done.

        Raises:
            FlagentError: there was no usable answer; what is held stays.
            Closed: the manager is closed.
        """
        self._check_open()
        await self._session.refresh(max_age)

    async def enable_realtime_updates(
        self,
        base_url: str | None = None,
        flag_keys: Iterable[str] | None = None,
        flag_ids: Iterable[int] | None = None,
        timeout: float = 10.0,
    ) -> None:
        """Follow the server's changes as they happen; return when the stream is live.

        Enabled again with other arguments, it follows that stream instead. Flags that the filter leaves
        out are still loaded with each snapshot.

        Args:
            base_url: where the stream is, with or without `/api/v1`; None for the manager's own server.
            flag_keys: follow only flags with one of these keys; None or nothing for all.
            flag_ids: follow only flags with one of these ids; None or nothing for all.
            timeout: how many seconds to wait until the stream is live; 0 returns at once.

        Raises:
            FlagentError: it was not live in time, for this reason. It is tried again in the background all the
                same, so a program that can do with polling meanwhile may ignore this.
            ConfigurationError: the URL can't be used.
            Closed: the manager is closed.
        """
        subscription = self._subscription(base_url, flag_keys, flag_ids)
        self._check_open()
        await self._session.follow(subscription, timeout)

    async def disable_realtime_updates(self) -> None:
        """End the stream; with `auto_refresh` polling takes over. It may be enabled again."""
        await self._session.unfollow()

    async def clear_cache(self) -> None:
        """Forget the flags, so that the manager is not ready any more; a stream that is enabled loads them again."""
        await self._session.clear()

    async def close(self) -> None:
        """End stream and polling, within 2 seconds; evaluation goes on with the flags that are held.

        It may be called in any state, more than once.
        """
        # Loaded with the event loop; others may import this class, too.
        from asyncio import timeout

        self._replica.hold(self._replica.ruleset or self._inherited)
        self._asleep = False
        for iteration in list(self._iterations):
            iteration.close()
        try:
            async with timeout(STOP_TIMEOUT):
                await self._session.close()
                await self._notifier.close()
        except TimeoutError:
            self._session.forget()

    def changes(self) -> AsyncChanges:
        """Return an iterator over flags that are others from now on; it ends when the manager is closed.

            async for change in manager.changes():
                print(change.flag_key, change.old, change.new)

        Of a flag that changes again before it is looked at, one net change is left. `close()` of the iterator ends it.
        """
        # Only programs that iterate need it.
        from .mailbox import AsyncChanges

        changes = AsyncChanges()
        changes.registration = self._listeners.add(changes)
        self._iterations.add(changes)
        if self._session.plan.closed:
            changes.close()
        return changes

    async def __aenter__(self) -> Self:
        """Bootstrap."""
        try:
            await self.bootstrap()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        session = getattr(self, "_session", None)
        if session is not None and session.runs:
            warnings.warn(f"{self!r} was forgotten without close()", ResourceWarning, stacklevel=2, source=self)
            session.forget()

    def _begin_to_watch(self) -> None:
        with suppress(RuntimeError):
            # Where no event loop runs, it begins with the bootstrap.
            self._session.begin_to_watch()

    def _check_open(self) -> None:
        self._awakened()
        if self._session.plan.closed:
            raise Closed("the manager is closed")

    def after_fork(self) -> None:
        """Begin life in a forked child: wait for the first use on an event loop, which finds no ruleset."""
        ran = self._session.runs or self._asleep
        self._notifier.begin_anew()
        self._session = self._session.abandon()
        if ran and not self._session.plan.closed:
            self._inherited = self._replica.ruleset or self._inherited
            self._replica.hold(None)
            self._asleep = True

    def _awakened(self) -> Ruleset | None:
        if not self._asleep:
            return self._replica.ruleset
        # Loaded by what ran in the parent process.
        from asyncio import get_running_loop

        try:
            loop = get_running_loop()
        except RuntimeError:
            # Another time: a task needs a loop.
            return self._inherited
        self._asleep = False
        self._replica.hold(self._inherited)
        self._inherited = None
        self._resuming = loop.create_task(self._session.resume(), name="flagent manager in a forked child")
        return self._replica.ruleset


#: Which objects a fork concerns: nothing else can tell the hook.
_managers: weakref.WeakSet[AsyncOfflineManager] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for each in list(_managers):
        each.after_fork()


after_in_child(_after_fork_in_child)
