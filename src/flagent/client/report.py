"""What a session says about itself, put together from its parts; from any thread."""

from __future__ import annotations

import time

from ..errors import FlagentError, Refused
from . import plain
from .config import OfflineConfig
from .follow import Follower
from .history import History
from .plan import Plan
from .poll import STRAY
from .refresh import Refresher
from .replica import Replica
from .saving import Saver
from .status import Source, State, Status


class Report:
    """Looks at the parts of a session.

    Args:
        config: how often they work.
        replica: what they keep fresh.
        refresher: has loaded snapshots.
        saver: keeps them on disk; None where nothing does.
        history: knows since when things are as they are.
        given: whether the flags are the program's own, and can't be out of date.
    """

    def __init__(
        self,
        config: OfflineConfig,
        replica: Replica,
        refresher: Refresher,
        saver: Saver | None,
        history: History,
        *,
        given: bool,
    ) -> None:
        self._config = config
        self._replica = replica
        self._refresher = refresher
        self._saver = saver
        self._history = history
        self._given = given

    def note(self, plan: Plan, follower: Follower | None) -> None:
        """Note the state, for `since` and the log; on the event loop."""
        self._history.note(self._state(plan, follower))

    def status(self, plan: Plan, follower: Follower | None) -> Status:
        """Return the state of things."""
        replica, now = self._replica, time.monotonic()
        ruleset = replica.ruleset
        retry_at = None if follower is None else follower.retry_at
        age, state = replica.age(), self._state(plan, follower)
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
            last_error=self._last_error(follower),
            attempt=0 if follower is None else follower.feed.attempt,
            retry_in=None if retry_at is None else max(0.0, retry_at - now),
            advice=None if follower is None else follower.advice.text(now, follower.feed.heartbeat),
            divergences=replica.divergences,
            cache_error=None if self._saver is None else self._saver.error,
        )

    def _state(self, plan: Plan, follower: Follower | None) -> State:
        held, error = self._replica.ruleset is not None, self._last_error(follower)
        if plan.closed:
            return State.CLOSED
        if held and (self._given or (follower is not None and follower.live)):
            return State.LIVE
        confirmed = held and self._replica.source is not Source.DISK
        if confirmed and plan.polls and self._config.auto_refresh and self._refresher.last_error is None:
            return State.POLLING
        if isinstance(error, Refused):
            return State.REJECTED
        if error is not None:
            return State.OFFLINE
        return State.STALE if held else State.STARTING

    def _last_error(self, follower: Follower | None) -> FlagentError | None:
        if follower is not None and not follower.live and follower.last_error is not None:
            return follower.last_error
        return self._refresher.last_error

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
