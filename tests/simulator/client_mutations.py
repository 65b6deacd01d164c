"""Rules of the client, each broken on purpose."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from flagent.client import async_offline, poll, replica
from flagent.client.async_offline import AsyncOfflineManager
from flagent.client.follow import Follower
from flagent.client.listeners import Listeners
from flagent.client.plan import Plan
from flagent.client.receiver import ReplicaReceiver
from flagent.client.refresh import Refresher
from flagent.client.replica import Replica
from flagent.client.session import Session
from flagent.client.tasks import Tasks
from flagent.client.upkeep import Upkeep
from flagent.core.changes import Delta, Snapshot
from flagent.core.compiled import decider
from flagent.core.evaluation import Deciders
from flagent.wire import backoff, feed, readers
from flagent.wire.backoff import Backoff
from flagent.wire.feed import Feed
from flagent.wire.readers import SnapshotReader
from flagent.wire.vouching import Vouching

from .mutation import Replaced, mutation


async def _do_nothing(*_args: Any, **_options: Any) -> None:
    return


@mutation("the feed hands out every change", 6, 9)
def drop_a_change() -> list[Replaced]:
    take = SnapshotReader._take_event

    def dropping(self: Any, event: Any) -> Any:
        updates = take(self, event)
        return [] if self.cursor is not None and self.cursor.revision % 3 == 2 else updates

    return [(SnapshotReader, "_take_event", dropping)]


@mutation("a change is applied only if its revision is the next one", 23, 299)
def skip_the_cursor_check() -> list[Replaced]:
    return [(readers, "_follows", lambda cursor, held, *, filtered: held is not None)]


@mutation("cursors of two epochs are not compared", 584, 723)
def ignore_the_epoch() -> list[Replaced]:
    def known(cursor: Any, held: Any) -> bool:
        return cursor is not None and held is not None and cursor.revision <= held.revision

    return [(readers, "is_known", known), (feed, "is_known", known)]


@mutation("an older snapshot of the same log is refused", 24, 507)
def accept_an_older_snapshot() -> list[Replaced]:
    return [(replica, "_is_older", lambda snapshot, held: False)]


@mutation("an update whose result has another digest is not applied", 19, 97)
def apply_without_a_digest() -> list[Replaced]:
    after = Snapshot.after
    return [(Snapshot, "after", lambda self, update, *, verify=True: after(self, update, verify=False))]


@mutation("what is held is compared with the digests of greetings and heartbeats", 19, 97)
def ignore_digests_of_heartbeats() -> list[Replaced]:
    def unchecked(self: Any, update: Any, *, verify: bool = True) -> Any:
        return after(self, update, verify=False)

    after = Snapshot.after
    return [(Replica, "check", lambda self, checkpoint: None), (Snapshot, "after", unchecked)]


@mutation("flags count as current only once all has arrived that is known to be on its way", 65, 129)
def believe_to_be_current_at_once() -> list[Replaced]:
    def settle(self: Any, _cursor: Any, *, current: bool) -> None:
        self.at, self._told = self._began_at, None

    return [(Feed, "caught_up", True), (Feed, "current", True), (Vouching, "settle", settle)]


@mutation("what a stream says counts from when it was said, and not from when it came", 200, 204)
def date_messages_by_their_arrival() -> list[Replaced]:
    return [(Vouching, "_made_at", lambda self: self._began_at)]


@mutation("flags grow old while nobody confirms them", 5, 8)
def never_grow_old() -> list[Replaced]:
    return [(Replica, "age", lambda self: None if self.ruleset is None else 0.0)]


@mutation("a stream that is silent for too long is dead", 0, 13)
def wait_for_dead_streams() -> list[Replaced]:
    return [(Feed, "deadline", lambda self: math.inf if self.live else self._seen_at + 10.0)]


@mutation("waits begin anew after a while of health, and not with a connection that opens", 8, 9)
def reset_the_backoff_at_connect() -> list[Replaced]:
    return [(Backoff, "healthy_for", lambda self, seconds: setattr(self, "failures", 0))]


@mutation("the bound of waits doubles", 2, 5)
def never_wait_longer() -> list[Replaced]:
    return [(backoff, "_MAX_DOUBLINGS", 0)]


@mutation("waits are drawn at random", 37, 47)
def wait_as_long_as_others() -> list[Replaced]:
    begin = Backoff.__init__

    def alike(self: Any, *, random: Any, **options: Any) -> None:
        begin(self, random=lambda: 0.5, **options)

    return [(Backoff, "__init__", alike)]


@mutation("clients fall back to polling at moments of their own", 231, 368)
def fall_back_at_one_moment() -> list[Replaced]:
    begin = poll.Poller.__init__

    def alike(self: Any, refresher: Any, config: Any, follower: Any) -> None:
        begin(self, refresher, config, follower)
        self._fallback_after = config.fallback_after

    return [(poll.Poller, "__init__", alike)]


@mutation("whoever was refused is asked again", 15, 106)
def give_up_when_refused() -> list[Replaced]:
    return [(backoff, "SLOW_BASE", 1e9), (backoff, "SLOW_CAP", 1e9)]


@mutation("no failure ends the loop that follows the stream", 5, 7)
def give_up_after_five_failures() -> list[Replaced]:
    lost = Follower._lost

    def giving_up(self: Any, error: Any, delay: float) -> None:
        lost(self, error, delay)
        self.ended = self._failures >= 5

    return [(Follower, "_lost", giving_up)]


@mutation("after an update that did not fit, nothing is resumed from it", 19, 357)
def resume_after_what_did_not_fit() -> list[Replaced]:
    return [(Feed, "diverged", lambda self: None)]


@mutation("a snapshot that is needed is loaded in any case", 1, 5)
def restart_without_a_snapshot() -> list[Replaced]:
    async def restart(self: Any, reason: str, feed: Any) -> Any:
        await self._refresher.refresh()
        return self._replica.ruleset.snapshot.cursor

    return [
        (ReplicaReceiver, "restart", restart),
        (Replica, "entity_tag", property(lambda self: self._entity_tag and "*")),
    ]


@mutation("close ends the stream and the polling", 0, 1)
def close_without_ending_tasks() -> list[Replaced]:
    return [(Upkeep, "_rest", _do_nothing)]


@mutation("close ends what others wait for", 3, 6)
def refresh_after_close() -> list[Replaced]:
    return [(Refresher, "stop", _do_nothing)]


@mutation("close ends everything at once", 1, 8)
def end_the_stream_before_the_polling() -> list[Replaced]:
    async def close(self: Any) -> None:
        await self._session.unfollow()
        await self.refresher.stop()
        await self._rest()

    return [(Upkeep, "close", close)]


@mutation("close does not wait for the network", 0, 3)
def wait_for_the_network_at_close() -> list[Replaced]:
    rest = Upkeep._rest

    async def waiting(self: Any) -> None:
        await asyncio.sleep(3.0)
        await rest(self)

    return [(Upkeep, "_rest", waiting), (async_offline, "STOP_TIMEOUT", 60.0)]


@mutation("nobody is called after close", 0, 1)
def call_listeners_after_close() -> list[Replaced]:
    return [(Listeners, "clear", lambda self: None), (Tasks, "end", _do_nothing)]


@mutation("a forked child goes on with what its parent did", 16, 50)
def forget_the_plan_at_a_fork() -> list[Replaced]:
    abandon = Session.abandon

    def forgetting(self: Any) -> Any:
        child = abandon(self)
        child.plan = Plan()
        return child

    return [(Session, "abandon", forgetting)]


@mutation("a forked child evaluates on what its parent held", 2, 13)
def lose_the_flags_at_a_fork() -> list[Replaced]:
    after_fork = AsyncOfflineManager.after_fork

    def losing(self: Any) -> None:
        after_fork(self)
        self._inherited = None

    return [(AsyncOfflineManager, "after_fork", losing)]


@mutation("listeners are told of the key that a renamed flag has left", 20, 24)
def forget_the_key_before() -> list[Replaced]:
    def keys(_before: Any, update: Any) -> set[str]:
        return {flag.key for flag in update.flags} if isinstance(update, Delta) else {update.flag_key}

    return [(Snapshot, "keys_in", keys)]


@mutation("evaluation uses what is held now", 19, 32)
def evaluate_on_what_was() -> list[Replaced]:
    def stale(self: Any, flag: Any) -> Any:
        _, decide = self.made.setdefault(flag.key, (flag, decider(flag)))
        return decide

    return [(Deciders, "_of", stale)]
