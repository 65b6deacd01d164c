"""What a session says about itself, put together from its parts; from any thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import FlagentError, Refused
from . import plain
from .config import STRAY, OfflineConfig
from .history import History
from .plan import Plan
from .replica import Replica
from .states import Source, State

if TYPE_CHECKING:
    from .follow import Follower
    from .status import Status
    from .upkeep import Upkeep


class Report:
    """Looks at the parts of a session.

    Args:
        config: how often they work.
        replica: what they keep fresh.
        history: knows since when things are as they are.
        given: whether the flags are the program's own, and can't be out of date.
    """

    def __init__(
        self,
        config: OfflineConfig,
        replica: Replica,
        history: History,
        *,
        given: bool,
    ) -> None:
        self._config = config
        self._replica = replica
        self._history = history
        self._given = given

    def note(self, plan: Plan, upkeep: Upkeep | None) -> None:
        """Note the state, for `since` and the log; there is no `upkeep` before it has begun."""
        # Before that, a signal handler that closes the manager may interrupt the very import of `logging`.
        self._history.note(self._state(plan, upkeep), logged=upkeep is not None)

    def status(self, plan: Plan, upkeep: Upkeep | None) -> Status:
        """Return the state of things."""
        # Loaded with what works; a manager is made without it.
        from .status import Status

        replica, now = self._replica, time.monotonic()
        ruleset, follower, saver = replica.ruleset, _follower(upkeep), None if upkeep is None else upkeep.saver
        retry_at = None if follower is None else follower.retry_at
        age, state = replica.age(), self._state(plan, upkeep)
        bound = self._staleness_bound(state, follower)
        if bound is not None and age is not None and age > bound:
            # The process was stopped, or the machine asleep, and nobody has had the time to notice.
            state, bound = State.STALE, None
        return Status(
            state=state,
            since=self._history.since(state),
            cursor=None if ruleset is None or not ruleset.snapshot.epoch else str(ruleset.snapshot.cursor),
            source=replica.source,
            staleness=age,
            staleness_bound=bound,
            last_error=_last_error(upkeep),
            attempt=0 if follower is None else follower.feed.attempt,
            retry_in=None if retry_at is None else max(0.0, retry_at - now),
            advice=None if follower is None else follower.advice.text(now, follower.feed.heartbeat),
            divergences=replica.divergences,
            cache_error=None if saver is None else saver.error,
        )

    def _state(self, plan: Plan, upkeep: Upkeep | None) -> State:
        held, error, follower = self._replica.ruleset is not None, _last_error(upkeep), _follower(upkeep)
        if plan.closed:
            return State.CLOSED
        if held and (self._given or (follower is not None and follower.live)):
            return State.LIVE
        confirmed = held and self._replica.source is not Source.DISK
        refreshed = upkeep is None or upkeep.refresher.last_error is None
        if confirmed and plan.polls and self._config.auto_refresh and refreshed:
            return State.POLLING
        if isinstance(error, Refused):
            return State.REJECTED
        if error is not None:
            return State.OFFLINE
        return State.STALE if held else State.STARTING

    def _staleness_bound(self, state: State, follower: Follower | None) -> float | None:
        if self._given:
            return 0.0
        if state is State.LIVE and follower is not None and follower.feed.protocol:
            return follower.feed.patience
        if state is State.LIVE:
            # A plain Flagent server's stream leaves changes out, which a poll finds.
            safety = self._config.safety_poll_interval
            return safety * (1 + STRAY) + self._config.request_timeout + plain.CACHE_AGE if safety else None
        if state is not State.POLLING:
            return None
        # Give or take what the intervals between polls stray, and the time that one may take.
        polls = self._config.refresh_interval * (1 + STRAY) + self._config.request_timeout
        # Polls take over from a stream after a while.
        return polls if follower is None else polls + self._config.fallback_after


def _follower(upkeep: Upkeep | None) -> Follower | None:
    return None if upkeep is None else upkeep.follower


def _last_error(upkeep: Upkeep | None) -> FlagentError | None:
    if upkeep is None:
        return None
    follower = upkeep.follower
    if follower is not None and not follower.live and follower.last_error is not None:
        return follower.last_error
    return upkeep.refresher.last_error
