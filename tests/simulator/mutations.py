"""Rules of the product, each broken on purpose: whether the simulator would notice if somebody broke one by mistake.

A mutation replaces one method, function or constant. A new rule gets one: write what breaks it, and find out with
`python -m tests.simulator --mutation NAME --seeds 500` which seeds notice. If none does, the invariants have a hole.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from msgspec.structs import replace

from flagent.client import async_offline, disk, poll, replica
from flagent.client.async_offline import AsyncOfflineManager
from flagent.client.disk import DiskCache
from flagent.client.follow import Follower
from flagent.client.listeners import Listeners
from flagent.client.plan import Plan
from flagent.client.receiver import ReplicaReceiver
from flagent.client.refresh import Refresher
from flagent.client.replica import Replica
from flagent.client.session import Session
from flagent.client.suspension import SleepWatch
from flagent.client.tasks import Tasks
from flagent.core.changes import Delta, Snapshot
from flagent.core.evaluation import CompiledFlag, Ruleset
from flagent.errors import DecodeError
from flagent.server.broadcast import Broadcaster
from flagent.server.editor import Editor
from flagent.server.hub import Hub
from flagent.server.readers import ChangeReader
from flagent.server.routes import export
from flagent.wire import backoff, feed, readers
from flagent.wire.backoff import Backoff
from flagent.wire.feed import Feed
from flagent.wire.readers import SnapshotReader

Replaced = tuple[Any, str, Any]


class Mutation(NamedTuple):
    """A rule, and what breaks it.

    Attributes:
        rule: what is not done any more, in words.
        seeds: schedules that noticed when it was written; others follow if they do not any more.
        replaced: what is put in the place of what.
    """

    rule: str
    seeds: tuple[int, ...]
    replaced: Callable[[], list[Replaced]]

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Break the rule in here."""
        with ExitStack() as stack:
            for owner, name, value in self.replaced():
                stack.callback(setattr, owner, name, owner.__dict__[name])
                setattr(owner, name, value)
            yield


#: All of them, by name.
MUTATIONS: dict[str, Mutation] = {}


def _mutation(rule: str, *seeds: int) -> Callable[[Callable[[], list[Replaced]]], Callable[[], list[Replaced]]]:
    def register(replaced: Callable[[], list[Replaced]]) -> Callable[[], list[Replaced]]:
        MUTATIONS[replaced.__name__] = Mutation(rule, seeds, replaced)
        return replaced

    return register


async def _do_nothing(*_args: Any, **_options: Any) -> None:
    return


@_mutation("the feed hands out every change", 6, 9)
def drop_a_change() -> list[Replaced]:
    take = SnapshotReader._take_event

    def dropping(self: Any, event: Any) -> Any:
        updates = take(self, event)
        return [] if self.cursor is not None and self.cursor.revision % 3 == 2 else updates

    return [(SnapshotReader, "_take_event", dropping)]


@_mutation("a change is applied only if its revision is the next one", 23, 299)
def skip_the_cursor_check() -> list[Replaced]:
    return [(readers, "_follows", lambda cursor, held, *, filtered: held is not None)]


@_mutation("a heartbeat from beyond the cursor means that something got lost", 361, 459)
def ignore_heartbeats_beyond_the_cursor() -> list[Replaced]:
    take = SnapshotReader._take_heartbeat

    def ignoring(self: Any, heartbeat: Any) -> Any:
        cursor = readers._cursor_of(heartbeat)
        return take(self, heartbeat) if readers.is_known(cursor, self.cursor) else []

    return [(SnapshotReader, "_take_heartbeat", ignoring)]


@_mutation("cursors of two epochs are not compared", 18, 43)
def ignore_the_epoch() -> list[Replaced]:
    def known(cursor: Any, held: Any) -> bool:
        return cursor is not None and held is not None and cursor.revision <= held.revision

    return [(readers, "is_known", known), (feed, "is_known", known)]


@_mutation("an older snapshot of the same log is refused", 24, 507)
def accept_an_older_snapshot() -> list[Replaced]:
    return [(replica, "_is_older", lambda snapshot, held: False)]


@_mutation("an update whose result has another digest is not applied", 19, 97)
def apply_without_a_digest() -> list[Replaced]:
    after = Snapshot.after
    return [(Snapshot, "after", lambda self, update, *, verify=True: after(self, update, verify=False))]


@_mutation("what is held is compared with the digests of greetings and heartbeats", 19, 97)
def ignore_digests_of_heartbeats() -> list[Replaced]:
    def unchecked(self: Any, update: Any, *, verify: bool = True) -> Any:
        return after(self, update, verify=False)

    after = Snapshot.after
    return [(Replica, "check", lambda self, checkpoint: None), (Snapshot, "after", unchecked)]


@_mutation("flags count as current only once all has arrived that is known to be on its way", 8, 32)
def believe_to_be_current_at_once() -> list[Replaced]:
    return [(Feed, "caught_up", True), (Feed, "current", True)]


@_mutation("flags grow old while nobody confirms them", 5, 8)
def never_grow_old() -> list[Replaced]:
    return [(Replica, "age", lambda self: None if self.ruleset is None else 0.0)]


@_mutation("a stream that is silent for too long is dead", 0, 13)
def wait_for_dead_streams() -> list[Replaced]:
    return [(Feed, "deadline", lambda self: math.inf if self.live else self._seen_at + 10.0)]


@_mutation("waits begin anew after a while of health, and not with a connection that opens", 8, 9)
def reset_the_backoff_at_connect() -> list[Replaced]:
    return [(Backoff, "healthy_for", lambda self, seconds: setattr(self, "failures", 0))]


@_mutation("the bound of waits doubles", 2, 5)
def never_wait_longer() -> list[Replaced]:
    return [(backoff, "_MAX_DOUBLINGS", 0)]


@_mutation("waits are drawn at random", 37, 47)
def wait_as_long_as_others() -> list[Replaced]:
    begin = Backoff.__init__

    def alike(self: Any, *, random: Any, **options: Any) -> None:
        begin(self, random=lambda: 0.5, **options)

    return [(Backoff, "__init__", alike)]


@_mutation("clients fall back to polling at moments of their own", 231, 368)
def fall_back_at_one_moment() -> list[Replaced]:
    begin = poll.Poller.__init__

    def alike(self: Any, refresher: Any, config: Any, follower: Any) -> None:
        begin(self, refresher, config, follower)
        self._fallback_after = config.fallback_after

    return [(poll.Poller, "__init__", alike)]


@_mutation("whoever was refused is asked again", 15, 106)
def give_up_when_refused() -> list[Replaced]:
    return [(backoff, "SLOW_BASE", 1e9), (backoff, "SLOW_CAP", 1e9)]


@_mutation("no failure ends the loop that follows the stream", 5, 7)
def give_up_after_five_failures() -> list[Replaced]:
    lost = Follower._lost

    def giving_up(self: Any, error: Any, delay: float) -> None:
        lost(self, error, delay)
        self.ended = self._failures >= 5

    return [(Follower, "_lost", giving_up)]


@_mutation("after an update that did not fit, nothing is resumed from it", 19, 357)
def resume_after_what_did_not_fit() -> list[Replaced]:
    return [(Feed, "diverged", lambda self: None)]


@_mutation("a snapshot that is needed is loaded in any case", 1, 5)
def restart_without_a_snapshot() -> list[Replaced]:
    async def restart(self: Any, reason: str, feed: Any) -> Any:
        await self._refresher.refresh()
        return self._replica.ruleset.snapshot.cursor

    return [
        (ReplicaReceiver, "restart", restart),
        (Replica, "entity_tag", property(lambda self: self._entity_tag and "*")),
    ]


@_mutation("close ends the stream and the polling", 0, 1)
def close_without_ending_tasks() -> list[Replaced]:
    return [(Session, "_rest", _do_nothing)]


@_mutation("close ends what others wait for", 3, 6)
def refresh_after_close() -> list[Replaced]:
    return [(Refresher, "stop", _do_nothing)]


@_mutation("close ends everything at once", 1, 8)
def end_the_stream_before_the_polling() -> list[Replaced]:
    async def close(self: Any) -> None:
        self.end()
        await self.unfollow()
        await self._refresher.stop()
        await self._rest()

    return [(Session, "close", close)]


@_mutation("close does not wait for the network", 0, 3)
def wait_for_the_network_at_close() -> list[Replaced]:
    rest = Session._rest

    async def waiting(self: Any) -> None:
        await asyncio.sleep(3.0)
        await rest(self)

    return [(Session, "_rest", waiting), (async_offline, "STOP_TIMEOUT", 60.0)]


@_mutation("nobody is called after close", 0, 1)
def call_listeners_after_close() -> list[Replaced]:
    return [(Listeners, "clear", lambda self: None), (Tasks, "end", _do_nothing)]


@_mutation("a forked child goes on with what its parent did", 16, 50)
def forget_the_plan_at_a_fork() -> list[Replaced]:
    abandon = Session.abandon

    def forgetting(self: Any) -> Any:
        child = abandon(self)
        child.plan = Plan()
        return child

    return [(Session, "abandon", forgetting)]


@_mutation("a forked child evaluates on what its parent held", 2, 13)
def lose_the_flags_at_a_fork() -> list[Replaced]:
    after_fork = AsyncOfflineManager.after_fork

    def losing(self: Any) -> None:
        after_fork(self)
        self._inherited = None

    return [(AsyncOfflineManager, "after_fork", losing)]


@_mutation("a machine that was asleep is noticed", 14, 41)
def sleep_unnoticed() -> list[Replaced]:
    return [(SleepWatch, "_slept", lambda self: 0.0)]


@_mutation("listeners are told of the key that a renamed flag has left", 20, 24)
def forget_the_key_before() -> list[Replaced]:
    def keys(update: Any, before: Any) -> set[str]:
        return {flag.key for flag in update.flags} if isinstance(update, Delta) else {update.flag_key}

    return [(replica, "_keys_of", keys)]


@_mutation("evaluation uses what is held now", 19, 32)
def evaluate_on_what_was() -> list[Replaced]:
    def stale(self: Any, flag: Any, entity_id: Any, context: Any, debug: bool) -> Any:
        compiled = self._compiled.setdefault(flag.key, CompiledFlag(flag))
        return compiled.evaluate(entity_id, context or {}, debug)

    return [(Ruleset, "_evaluate", stale)]


@_mutation("a file is on the disk before it gets its name", 11, 12)
def write_without_synchronizing() -> list[Replaced]:
    def write(path: Any, content: bytes) -> None:
        system = vars(disk)["os"]
        with system.fdopen(system.open(path, 0, 0o600), "wb") as file:
            file.write(content)

    return [(disk, "_write", write)]


@_mutation("a name is on the disk before writing is done", 11, 12)
def rename_without_synchronizing() -> list[Replaced]:
    return [(disk, "_sync", lambda folder: None)]


@_mutation("what is damaged is not believed", 98, 408)
def believe_damaged_files() -> list[Replaced]:
    def parts(self: Any, path: Any) -> Any:
        with path.open("rb") as file:
            _, _, rest = file.read().partition(b"\n")
        line, _, body = rest.partition(b"\n")
        try:
            return disk._decode_header(line), body
        except ValueError as exc:
            raise DecodeError(str(exc)) from exc

    return [(DiskCache, "_parts", parts)]


@_mutation("the file before is kept", 0, 1)
def keep_one_file() -> list[Replaced]:
    return [(disk, "_replace", lambda source, target: None)]


@_mutation("flags from disk are as old as they are", 5, 19)
def take_the_disk_for_current() -> list[Replaced]:
    read = DiskCache._read
    return [(DiskCache, "_read", lambda self, path: read(self, path)._replace(age=0.0))]


@_mutation("a net change names what was deleted", 20, 43)
def forget_tombstones() -> list[Replaced]:
    delta = Hub.delta

    def without(self: Any, *args: Any) -> Any:
        found = delta(self, *args)
        return found if found is None else replace(found, deleted=())

    return [(Hub, "delta", without)]


@_mutation("tombstones reach back as far as it is said", 1, 8)
def remember_more_than_there_is() -> list[Replaced]:
    bury = Hub._bury

    def claiming(self: Any) -> None:
        since = self._gone_since
        bury(self)
        self._gone_since = since

    return [(Hub, "_bury", claiming)]


@_mutation("answers are forgotten when the log moves on", 60, 129)
def keep_old_answers() -> list[Replaced]:
    advance = Hub._advance

    def keeping(self: Any, ruleset: Any) -> None:
        answers = self.__dict__.get("_answers", {})
        advance(self, ruleset)
        self._answers = answers

    return [(Hub, "_advance", keeping)]


@_mutation("heartbeats say where the server is now", 361, 459)
def repeat_an_old_heartbeat() -> list[Replaced]:
    heartbeat = Hub.heartbeat

    def old(self: Any, encoding: Any, **options: Any) -> Any:
        if "first_heartbeat" not in self.__dict__:
            self.first_heartbeat = heartbeat(self, encoding, **options)
        return self.first_heartbeat

    return [(Hub, "heartbeat", old)]


@_mutation("a stream that is silent gets a heartbeat", 0, 5)
def forget_the_heartbeat() -> list[Replaced]:
    return [(ChangeReader, "sign", lambda self: ())]


@_mutation("the bell is rung for every change", 1, 5)
def forget_the_bell() -> list[Replaced]:
    return [(Hub, "_ring_bells", lambda self: None)]


@_mutation("a stream whose connection takes nothing is served again when it does", 124, 315)
def forget_slow_readers() -> list[Replaced]:
    async def finish(self: Any, stream: Any, work: Any) -> None:
        await work

    return [(Broadcaster, "_finish", finish)]


@_mutation("a change that does not follow makes the server load its state anew", 1, 10)
def serve_a_log_with_a_hole() -> list[Replaced]:
    def deliver(self: Any, changes: Any) -> None:
        for change in changes:
            if change.revision == self.cursor.revision + 1:
                self._apply(change)
        self._ring_bells()

    def reload(self: Any, stored: Any) -> None:
        return

    return [(Hub, "deliver", deliver), (Hub, "reload", reload)]


@_mutation("an edit is acknowledged when it is committed", 20, 23)
def acknowledge_what_was_overtaken() -> list[Replaced]:
    async def pretend(self: Any, wanted: Any) -> Any:
        snapshot = self._hub.snapshot
        flags = tuple(replace(flag, revision=snapshot.revision + 99) for flag in snapshot.flags.values())
        return flags[:1], snapshot.revision

    return [(Editor, "_apply_alone", pretend)]


@_mutation("only the snapshot that is held is answered with 304", 5, 8)
def answer_unchanged_in_any_case() -> list[Replaced]:
    return [(export, "matches", lambda held, tag: True)]
