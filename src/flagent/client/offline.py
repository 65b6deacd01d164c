"""The manager for programs without asyncio; its network work runs in one daemon thread."""

from __future__ import annotations

import sys
import threading
import time
import warnings
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..errors import ConfigurationError, TransportError
from .config import OfflineConfig
from .local import LocalFlags
from .logger import logger
from .loop_thread import STOP_TIMEOUT, LoopThread
from .notifying import ThreadNotifier
from .on_demand import OnDemand
from .targets import Where, modules_of

if TYPE_CHECKING:
    from ..core.evaluation import Ruleset
    from .mailbox import Changes

#: Seconds that `close` waits for a listener that is being called.
_LISTENERS_TIMEOUT = 0.5
#: Seconds until a forked child that could not start its thread tries again.
_WAKE_PAUSE = 1.0


class OfflineManager(LocalFlags):
    """Holds all flags of a server in this process, keeps them fresh, and evaluates them here.

    Making one does no I/O and starts no thread; `bootstrap` does. Every method may be called from
    any thread. A forked child evaluates at once on what its parent held, and then keeps itself
    fresh with a thread and connections of its own; the parent notices nothing.

        with OfflineManager("http://localhost:18000") as manager:
            manager.enable_realtime_updates()
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
        self._notifier = ThreadNotifier("flagent listeners")
        self._iterations: weakref.WeakSet[Changes] = weakref.WeakSet()
        super().__init__(client, config, self._notifier)
        self._inherited: Ruleset | None = None
        self._asleep = False
        self._wakes_at = 0.0
        self._waking = threading.Lock()
        name = f"flagent manager of {self._session.target.name}"
        self._thread: LoopThread | OnDemand = (OnDemand if self._config.on_demand else LoopThread)(
            name, self._fall_asleep, modules_of(self._session.target)
        )

    def bootstrap(self, force_refresh: bool = False, timeout: float = 10.0) -> None:
        """Load the snapshot; return at once when there is one already.

        Args:
            force_refresh: whether to load it anew in that case.
            timeout: how many seconds it may take; a server that is not ready yet (HTTP 503) is asked again until then.

        Raises:
            Refused: the server does not accept this client, or there is none of ours at the address.
            FlagentError: there is no snapshot, for this reason. With `auto_refresh` polling goes on trying.
            Closed: the manager is closed.
        """
        self._wake()
        if self._session.is_settled and not force_refresh:
            return
        self._thread.call(self._session.bootstrap(force_refresh=force_refresh, timeout=timeout), timeout)

    def prewarm(self) -> None:
        """Begin to load the flags, and return at once; once there, they are made ready for a fast first evaluation.

        For a program that has other things to do at its start; `wait_until_ready`, or a bootstrap, waits for them.

        Raises:
            ConfigurationError: it works on demand only, so nothing goes on between calls.
            Closed: the manager is closed.
        """
        if self._config.on_demand and not self.is_ready():
            raise ConfigurationError("on_demand: nothing goes on between calls; call bootstrap()")
        self._wake()
        self._thread.start(self._session.prewarm())

    def wait_until_ready(self, timeout: float = 10.0, *, live: bool = False) -> bool:
        """Return whether there are flags to evaluate on, as soon as there are, or after `timeout` seconds.

        For a program whose bootstrap failed, or is done by another thread.

        Args:
            timeout: how many seconds to wait.
            live: whether to wait until the stream is up, too.

        Raises:
            Closed: the manager is closed.
        """
        self._wake()
        return self._thread.call(self._session.wait_ready(live=live, timeout=timeout), timeout)

    def refresh(self, max_age: float = 0.0) -> None:
        """Ask the server for a newer snapshot now.

        Args:
            max_age: seconds; flags that were known to be current this long ago are good enough, and nothing is done.

        Raises:
            FlagentError: there was no usable answer; what is held stays.
            Closed: the manager is closed.
        """
        self._wake()
        self._thread.call(self._session.refresh(max_age), self._config.request_timeout)

    def enable_realtime_updates(
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
        self._wake()
        self._thread.call(self._session.follow(subscription, timeout), timeout)

    def disable_realtime_updates(self) -> None:
        """End the stream; with `auto_refresh` polling takes over. It may be enabled again."""
        self._wake()
        if self._thread.runs:
            self._thread.call(self._session.unfollow(), STOP_TIMEOUT)

    def clear_cache(self) -> None:
        """Forget the flags, so that the manager is not ready any more; a stream that is enabled loads them again."""
        self._wake()
        if self._thread.runs:
            self._thread.call(self._session.clear(), STOP_TIMEOUT)
        else:
            self._replica.clear()

    def close(self, timeout: float = STOP_TIMEOUT) -> None:
        """End stream, polling, listeners and threads; evaluation goes on with the flags that are held.

        It may be called from any thread, a signal handler or a listener, in any state, more than once.

        Args:
            timeout: most seconds to wait until everything has ended; what has not goes on to end by itself.
        """
        deadline = time.monotonic() + timeout
        self._wake(restart=False)
        self._session.end()
        for iteration in list(self._iterations):
            iteration.close()
        self._thread.stop(self._session.close, timeout)
        # A listener that never comes back must not cost everybody the whole time.
        self._notifier.close(min(_LISTENERS_TIMEOUT, max(0.0, deadline - time.monotonic())))

    def changes(self) -> Changes:
        """Return an iterator over flags that are others from now on; it ends when the manager is closed.

            for change in manager.changes():
                print(change.flag_key, change.old, change.new)

        Of a flag that changes again before it is looked at, one net change is left. `close()` of the iterator, or
        leaving it as a context manager, ends it.
        """
        # Only programs that iterate need it.
        from .mailbox import Changes

        changes = Changes()
        changes.registration = self._listeners.add(changes)
        self._iterations.add(changes)
        if self._session.plan.closed:
            changes.close()
        return changes

    def __enter__(self) -> Self:
        """Bootstrap."""
        try:
            self.bootstrap()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # The constructor may have failed, and at the interpreter's end the thread is stopped already.
        thread: LoopThread | OnDemand | None = getattr(self, "_thread", None)
        if thread is None or not thread.runs or sys.is_finalizing():
            return
        warnings.warn(f"{self!r} was forgotten without close()", ResourceWarning, stacklevel=2, source=self)
        thread.stop(self._session.close, 0.0)
        self._notifier.close(0.0)

    def _begin_to_watch(self) -> None:
        if self._thread.runs:
            self._thread.start(self._session.watch())

    def _awakened(self) -> Ruleset | None:
        self._wake()
        return self._replica.ruleset or self._inherited

    def _fall_asleep(self) -> None:
        """Begin life in a forked child: wait for the first use, which finds no ruleset and comes to `_wake`."""
        self._waking = threading.Lock()
        self._notifier.begin_anew()
        self._wakes_at = 0.0
        self._session = self._session.abandon()
        self._inherited = self._replica.ruleset or self._inherited
        self._replica.hold(None)
        self._asleep = True

    def _wake(self, *, restart: bool = True) -> None:
        if not self._asleep or (restart and time.monotonic() < self._wakes_at):
            return
        with self._waking:
            if not self._asleep:
                return
            self._replica.hold(self._inherited)
            self._inherited = None
            self._asleep = False
            if restart and not self._thread.closed:
                try:
                    self._thread.start(self._session.resume())
                except TransportError as exc:
                    # No thread or no descriptor to be had: evaluation goes on, and comes here again.
                    logger().warning("the flags are not kept fresh in this forked process: %s", exc)
                    self._inherited = self._replica.ruleset
                    self._replica.hold(None)
                    self._asleep, self._wakes_at = True, time.monotonic() + _WAKE_PAUSE
