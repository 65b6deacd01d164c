"""What a manager is meant to do, what it says about that, and who does it.

Both managers have one. It is made without doing or loading anything, works as soon as one of its coroutines
is awaited, and can be replaced by another on the same replica: that is what a forked child does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import Closed
from .config import OfflineConfig
from .history import History
from .listeners import Listeners
from .loading import load_aside
from .plan import Plan, Subscription
from .replica import Replica
from .report import Report
from .staleness import StaleWatch
from .targets import Target, is_given, modules_of

if TYPE_CHECKING:
    from ..core.evaluation import Ruleset
    from .status import Status
    from .upkeep import Upkeep


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
        config: see above.
        replica: see above.
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
        self.config = config
        self.replica = replica
        self.plan = plan or Plan()
        self._listeners = listeners
        # Not a method of the manager, which has to be free to be forgotten.
        replica.updated = self._updated
        self._upkeep: Upkeep | None = None
        self._report = Report(config, replica, History(target.name), given=is_given(target))
        self.stale_watch = StaleWatch(replica, listeners, self.status)

    @property
    def upkeep(self) -> Upkeep:
        """What works for it; made when it is first asked for, on the event loop where that works."""
        if self._upkeep is None:
            # With all of asyncio and HTTP, which managers do without that only evaluate.
            from .upkeep import Upkeep

            self._upkeep = Upkeep(self)
        return self._upkeep

    async def _begun(self) -> Upkeep:
        if self._upkeep is None:
            await load_aside(modules_of(self.target))
            if self.plan.closed:
                raise Closed("the manager was closed meanwhile")
        return self.upkeep

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to load, and nothing to keep fresh: the program's own flags are held."""
        return is_given(self.target) and self.replica.ruleset is not None and not self.plan.closed

    async def bootstrap(self, *, force_refresh: bool, timeout: float) -> None:
        """Load a snapshot, unless one is held; begin to poll if that is configured.

        Raises:
            FlagentError: there is none, neither from the server nor from disk; polling goes on trying.
        """
        await (await self._begun()).bootstrap(force_refresh=force_refresh, timeout=timeout)

    async def prewarm(self) -> None:
        """Begin to load a snapshot, and to compile its flags."""
        (await self._begun()).prewarm()

    async def refresh(self, max_age: float = 0.0) -> None:
        """Ask for a newer snapshot, unless the flags were known to be current within `max_age` seconds."""
        age = self.replica.age()
        if age is None or age >= max_age:
            await (await self._begun()).refresh()

    async def follow(self, subscription: Subscription, timeout: float) -> None:
        """Follow the stream, instead of another one if there is one; wait until it is live.

        Raises:
            FlagentError: it is not, within `timeout` seconds; 0 does not wait. It goes on trying.
            ConfigurationError: it works on demand only.
        """
        await (await self._begun()).follow(subscription, timeout)

    async def unfollow(self) -> None:
        """End the stream."""
        self.plan = self.plan._replace(subscription=None)
        if self._upkeep is not None:
            await self._upkeep.unfollow()

    async def clear(self) -> None:
        """Forget the flags; a stream that is followed loads them again."""
        if self._upkeep is None:
            self.replica.clear()
        else:
            await self._upkeep.clear()

    async def resume(self) -> None:
        """Begin what is planned and does not run yet."""
        await (await self._begun()).resume()

    async def wait_ready(self, *, live: bool, timeout: float) -> bool:
        """Return whether there are flags, and with `live` the stream is up, within `timeout` seconds."""
        return await (await self._begun()).wait_ready(live=live, timeout=timeout)

    async def watch(self) -> None:
        """Begin to watch for staleness, if anybody wants to know."""
        self.begin_to_watch()

    def begin_to_watch(self) -> None:
        """Begin to watch for staleness, on the event loop that runs here; as long as nothing works, nothing is stale.

        Raises:
            RuntimeError: there is none.
        """
        if self._upkeep is not None:
            self._upkeep.begin_to_watch()

    def end(self) -> None:
        """Begin nothing any more; `close` is still to be awaited if anything was begun."""
        self.plan = self.plan._replace(closed=True)
        self._report.note(self.plan, self._upkeep)

    async def close(self) -> None:
        """End everything; nothing can be begun any more."""
        self.end()
        if self._upkeep is not None:
            await self._upkeep.close()

    @property
    def runs(self) -> bool:
        """Whether anything is running that has to be ended."""
        return self._upkeep is not None and self._upkeep.tasks.run

    def forget(self) -> None:
        """Cancel what runs, without waiting for it; from any thread."""
        if self._upkeep is not None:
            self._upkeep.tasks.forget()

    def abandon(self) -> Session:
        """Return a session that will do what this one did; for a forked child, which can't use what its parent has."""
        if self._upkeep is not None:
            self._upkeep.let_go()
        child = Session(self.target, self.config, self.replica, self._listeners, self.plan)
        child.stale_watch.take_over(self.stale_watch)
        return child

    def is_live(self) -> bool:
        """Return whether the stream is up; from any thread."""
        return self._upkeep is not None and self._upkeep.is_live()

    def note(self) -> None:
        """Note that something may be different now; on the event loop."""
        self._report.note(self.plan, self._upkeep)

    def status(self) -> Status:
        """Return the state of things; from any thread."""
        return self._report.status(self.plan, self._upkeep)

    def _updated(self, before: Ruleset | None, after: Ruleset, keys: Iterable[str] | None) -> None:
        self._listeners.updated(before, after, keys)
        if self._upkeep is not None:
            self._upkeep.updated()
