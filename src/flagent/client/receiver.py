"""What a manager does with the updates of its stream: apply them to its replica, or fetch what they can't bring."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from ..core.changes import Change, Cursor, Delta
from ..errors import FlagentError, NotReady
from ..wire.backoff import is_hopeless
from ..wire.codec import FlagEvent
from ..wire.feed import Checkpoint, Feed
from . import plain
from .config import OfflineConfig
from .plan import Subscription
from .poll import Poller
from .refresh import Refresher
from .replica import Replica
from .states import Source

_log = logging.getLogger("flagent.client")


class ReplicaReceiver:
    """Takes what one stream says (`follow.Receiver`).

    Args:
        subscription: what the stream is asked for.
        config: which flags are held.
        replica: what is kept.
        refresher: fetches snapshots.
        poller: looks again later.
        note: called when the stream comes or goes.
    """

    def __init__(
        self,
        subscription: Subscription,
        config: OfflineConfig,
        replica: Replica,
        refresher: Refresher,
        poller: Poller,
        note: Callable[[], object],
    ) -> None:
        self._subscription = subscription
        self._config = config
        self._replica = replica
        self._refresher = refresher
        self._poller = poller
        self._note = note

    def feed(self) -> Feed:
        """Return the state of a stream that goes on where the replica is."""
        wanted = None if self._subscription.filters else self._config.filter
        return Feed(
            self._replica.cursor,
            flag_keys=self._subscription.flag_keys if wanted is None else tuple(wanted.flag_keys),
            flag_ids=self._subscription.flag_ids if wanted is None else tuple(wanted.flag_ids),
            tags=() if wanted is None else tuple(wanted.tags),
            base_delay=self._config.reconnect_delay,
            max_delay=self._config.max_reconnect_delay,
            random=random.random,
        )

    def deliver(self, update: Change | Delta | FlagEvent | Checkpoint, feed: Feed) -> None:
        """Take an update of the stream."""
        if isinstance(update, FlagEvent):
            # A plain Flagent server: the event says that something changed, and nothing to apply.
            self._poller.ask(0.0, plain.CACHE_AGE)
        elif isinstance(update, Checkpoint):
            self._replica.check(update)
        elif feed.cursor is not None:
            cursor, wanted = _cursor_of(update, feed.cursor), self._config.filter
            # A stream that leaves out flags that are held makes them older than the cursor says.
            partial = self._subscription.filters
            narrowed = update if wanted is None else wanted.narrowed(update)
            self._replica.apply(narrowed, cursor, verify=not feed.filtered, partial=partial)

    async def restart(self, reason: str, feed: Feed) -> Cursor:
        """Load a snapshot for the stream."""
        _log.debug("loading a snapshot: %s", reason)
        await self._refresher.refresh(force=True)
        if not feed.protocol:
            self._poller.ask(plain.CACHE_AGE)
        ruleset = self._replica.ruleset
        if ruleset is None:
            raise NotReady("the flags were cleared while they were loaded")
        return ruleset.snapshot.cursor

    def heard(self, feed: Feed) -> None:
        """Note for which moment the stream says that the flags are current."""
        if feed.protocol and feed.vouched_at is not None:
            self._replica.confirm(Source.STREAM, age=time.monotonic() - feed.vouched_at)

    def turns(self, error: FlagentError) -> int:
        """Return how many ask in vain: the stream alone, or polling as well."""
        return 2 if is_hopeless(error) and is_hopeless(self._refresher.last_error) else 1

    def changed(self) -> None:
        """Note that the stream came or went."""
        self._poller.reconsider()
        self._note()


def _cursor_of(update: Change | Delta, newest: Cursor) -> Cursor:
    if isinstance(update, Delta):
        return update.cursor
    # The feed may be further already, with the updates that came in the same chunk.
    return newest if newest.revision == update.revision else Cursor(newest.epoch, update.revision)
