"""Evaluation on the flags that this process holds: what the sync and the async manager have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from .address import root_of
from .config import OfflineConfig, show_debug_logs
from .forks import notice
from .loading import EXPLAINING, UNREADY, load
from .notifying import TaskNotifier, ThreadNotifier
from .plan import Subscription
from .replica import Replica
from .session import Session
from .suspension import elapsed
from .targets import GivenFlags, Where, fitted, is_given, target_of
from .values import TypedValues

if TYPE_CHECKING:
    from ..core.evaluation import EvalResult, Ruleset
    from ..core.explain import Explanation
    from ..core.typed import Decision
    from .batches import EvalRequest
    from .callbacks import FlagChange, ValueChange
    from .listeners import Registration
    from .staleness import StaleListener
    from .status import Status


class LocalFlags(TypedValues):
    """Evaluates in process: without a lock, without I/O, without exceptions, from any thread.

    Until there is a snapshot every result has the reason `NOT_READY` and no variant. What results are made of is loaded
    with the first one, unless what brings flags has done that: only then `evaluate` reads files.
    """

    def __init__(
        self,
        client: Where,
        config: OfflineConfig | None,
        notifier: ThreadNotifier | TaskNotifier,
    ) -> None:
        target = target_of(client)
        self._config = fitted(config or OfflineConfig(), target)
        if self._config.enable_debug_logging:
            show_debug_logs()
        self._listeners, self._check_callback = notifier.listeners, notifier.check
        self._replica = Replica(_always_now if is_given(target) else elapsed)
        self._session = Session(target, self._config, self._replica, self._listeners)
        if isinstance(target, GivenFlags):
            # Loaded with the flags.
            from .stated import compiled

            self._replica.replace(compiled(target.snapshot, self._config.filter), None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._session.target.name}, {self._session.status().state}>"

    def evaluate(
        self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None, *, debug: bool = False
    ) -> EvalResult:
        """Return what a flag is for an entity.

        Args:
            flag_key: key of the flag; an unknown one gives the reason `FLAG_NOT_FOUND`.
            entity_id: who; decides on the bucket, and so on rollout and variant.
            entity_context: properties that constraints look at; None for none.
            debug: whether `debug_logs` of the result says what each segment decided.
        """
        ruleset = self._replica.ruleset
        if ruleset is None:
            ruleset = self._awakened()
            if ruleset is None:
                return _not_ready(flag_key, 0, entity_id)
        return ruleset.evaluate(flag_key, entity_id, entity_context, debug=debug)

    def is_enabled(self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> bool:
        """Return whether the flag has a variant for the entity; False when there is no such flag, or no snapshot."""
        # As `_decided`, without the price of the call.
        try:
            return self._replica.ready[flag_key](entity_id, entity_context).variant_key is not None
        except (KeyError, TypeError):
            pass
        return self._decided(flag_key, entity_id, entity_context).variant_key is not None

    def get_variant(self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> str | None:
        """Return the key of the entity's variant of the flag, or None."""
        # As `_decided`, without the price of the call.
        try:
            return self._replica.ready[flag_key](entity_id, entity_context).variant_key
        except (KeyError, TypeError):
            pass
        return self._decided(flag_key, entity_id, entity_context).variant_key

    def explain(self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> Explanation:
        """Return why the flag is what it is for the entity: each segment, each constraint, the bucket and the ranges.

        `str` of it is text for people. Until there is a snapshot the result in it says `NOT_READY`.
        """
        # Programs in production do without it.
        load(EXPLAINING)
        from ..core.explain import Explanation, explain

        ruleset = self._held()
        if ruleset is None:
            return Explanation(_not_ready(flag_key, 0, entity_id), "", False, None, None, ())
        return explain(ruleset, flag_key, entity_id, entity_context)

    def evaluate_batch(self, requests: Iterable[EvalRequest]) -> list[EvalResult]:
        """Return the results of many evaluations, in order, all of them on the same snapshot."""
        ruleset, results = self._held(), []
        for each in requests:
            if ruleset is None:
                result = _not_ready(each.flag_key, each.flag_id or 0, each.entity_id)
            elif each.flag_key is None and each.flag_id is not None:
                result = ruleset.evaluate_id(each.flag_id, each.entity_id, each.entity_context, debug=each.debug)
            else:
                result = ruleset.evaluate(each.flag_key or "", each.entity_id, each.entity_context, debug=each.debug)
            results.append(result)
        return results

    def evaluate_all(self, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> dict[str, EvalResult]:
        """Return the results of all flags, by key, all of them on the same snapshot; empty when there is none."""
        ruleset = self._held()
        return {} if ruleset is None else ruleset.evaluate_all(entity_id, entity_context)

    def is_ready(self) -> bool:
        """Return whether there is a snapshot to evaluate on."""
        return self._held() is not None

    def is_realtime_enabled(self) -> bool:
        """Return whether the stream is up at this moment, so that changes arrive as they happen."""
        notice()
        return self._held() is not None and self._session.is_live()

    @property
    def snapshot_age(self) -> float | None:
        """Seconds since the flags were last known to be current; None when there are none.

        A live stream keeps it below the server's heartbeat interval, however seldom flags change.
        """
        return None if self._held() is None else self._replica.age()

    def is_snapshot_expired(self) -> bool:
        """Tell whether the flags are older than `snapshot_ttl`, or there are none; they are evaluated all the same."""
        age = self.snapshot_age
        return age is None or age > self._config.snapshot_ttl

    @property
    def status(self) -> Status:
        """How fresh the flags are at this moment, and why."""
        notice()
        self._held()
        return self._session.status()

    def on_change(self, callback: Callable[[FlagChange], Any]) -> Registration:
        """Call `callback` with every flag that is another one from now on, also when it is gone or new.

        It is called apart from everything that keeps flags fresh: in a thread of its own, or on the
        manager's event loop, where it may be a coroutine function. It may take its time, raise, or call the
        manager. While one is busy changes are put together, and it gets the net change of each flag.

        Returns:
            What to call `remove()` of, when there have been enough.

        Raises:
            ConfigurationError: a coroutine function, where there is no event loop to await it.
        """
        # Programs that listen to nothing do without it, here and below.
        from .callbacks import OnChange

        self._check_callback(callback)
        return self._listeners.add(OnChange(callback))

    def on_flag_change(self, flag_key: str, callback: Callable[[FlagChange], Any]) -> Registration:
        """Call `callback` whenever the flag of this key is another one; otherwise like `on_change`."""
        from .callbacks import OnChange

        self._check_callback(callback)
        return self._listeners.add(OnChange(callback, flag_key))

    def on_value_change(
        self,
        flag_key: str,
        entity_id: str,
        entity_context: Mapping[str, Any] | None,
        callback: Callable[[ValueChange], Any],
    ) -> Registration:
        """Call `callback` whenever the flag gives this entity another variant or attachment; like `on_change`."""
        from .callbacks import OnValueChange

        self._check_callback(callback)
        return self._listeners.add(OnValueChange(callback, flag_key, entity_id, entity_context))

    def on_stale(self, callback: Callable[[Status], Any], after: float | None = None) -> StaleListener:
        """Call `callback` with the status when the flags have not been confirmed for too long; like `on_change`.

        It is called once for each time that they become stale.

        Args:
            callback: what to call.
            after: seconds; None for `snapshot_ttl`.

        Raises:
            ConfigurationError: `after` is no number above 0, or a coroutine function has no event loop to await it.
        """
        self._check_callback(callback)
        seconds: Any = self._config.snapshot_ttl if after is None else after
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
            raise ConfigurationError(f"after: {seconds!r} is no number of seconds above 0")
        listener = self._session.stale_watch.add(callback, seconds)
        self._begin_to_watch()
        return listener

    def _begin_to_watch(self) -> None:
        """Let the session watch for staleness, if it runs."""
        raise NotImplementedError

    def _decided(self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> Decision:
        """Return what a flag is for an entity; it is shared, and does not name the entity."""
        ruleset = self._replica.ruleset
        if ruleset is None:
            ruleset = self._awakened()
            if ruleset is None:
                return _UNDECIDED
        return ruleset.decider(flag_key)(entity_id, entity_context)

    def _held(self) -> Ruleset | None:
        ruleset = self._replica.ruleset
        return self._awakened() if ruleset is None else ruleset

    def _awakened(self) -> Ruleset | None:
        """Return what is held after all: in a forked child, which begins to work here."""
        return None

    def _subscription(
        self, base_url: str | None, flag_keys: Iterable[str] | None, flag_ids: Iterable[int] | None
    ) -> Subscription:
        root = self._session.target.name if base_url is None else root_of(base_url)
        return Subscription.of(root, flag_keys, flag_ids)


def _always_now() -> float:
    """Be the clock of flags that can't be out of date."""
    return 0.0


class _Undecided:
    """What is decided before there is a snapshot: no variant. It needs nothing of what decides later."""

    variant_key: str | None = None
    variant_attachment: Mapping[str, Any] | None = None


_UNDECIDED = _Undecided()


def _not_ready(flag_key: object, flag_id: int, entity_id: object) -> EvalResult:
    # Loaded with what brings flags, except for programs that evaluate before they ask for any.
    load(UNREADY)
    from .unready import not_ready

    return not_ready(flag_key, flag_id, entity_id)
