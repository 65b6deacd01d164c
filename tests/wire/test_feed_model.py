"""Whatever happens on the way: a holder that does what the feed says ends equal to the server, and never goes back."""

from __future__ import annotations

import stream_bytes
from change_log import EPOCH, Log, flag
from hypothesis import given, settings
from hypothesis import strategies as st

from flagent.core.changes import Change, Cursor, Delta, EventType, Snapshot
from flagent.errors import Diverged
from flagent.wire.feed import Checkpoint, Feed, NeedSnapshot, Update

#: How far back a server of the model can bridge by changes, and by one net change.
RING, TOMBSTONES = 2, 4
#: No JSON, another value under the same digest, a member that is missing.
DAMAGES = [(b'"description":"x"', b'"description":"\xff"'), (b'"key":"a"', b'"key":"c"'), (b'"enabled"', b'"enable"')]


class Holder:
    """Applies what the feed hands out, as a follower does; without `verify` it trusts the feed alone.

    Attributes:
        snapshot: what is held, or None.
    """

    def __init__(self, feed: Feed, log: Server, *, verify: bool) -> None:
        self.snapshot: Snapshot | None = None
        self._feed = feed
        self._log = log
        self._verify = verify

    def take(self, updates: list[Update]) -> None:
        while updates:
            update = updates.pop(0)
            if isinstance(update, NeedSnapshot) or not self._fits(update):
                self._hold(self._log.now)
                updates = self._feed.restarted(self._log.now.cursor, 0.0)

    def _fits(self, update: Update) -> bool:
        assert self.snapshot is not None, "an update came before any snapshot"
        if isinstance(update, Checkpoint):
            assert update.cursor == self.snapshot.cursor
            assert self._verify or update.digest == self.snapshot.digest
            return update.digest == self.snapshot.digest
        assert isinstance(update, Change | Delta)
        epoch = update.cursor.epoch if isinstance(update, Delta) else self.snapshot.epoch
        assert epoch == self.snapshot.epoch, "an epoch changes by a snapshot only"
        try:
            self._hold(self.snapshot.after(update, verify=self._verify))
        except Diverged:
            return False
        return True

    def _hold(self, snapshot: Snapshot) -> None:
        held = self.snapshot
        assert held is None or held.epoch != snapshot.epoch or held.revision <= snapshot.revision, "it went back"
        self.snapshot = snapshot


class Server:
    """A log whose every state is remembered."""

    def __init__(self) -> None:
        self._log = Log()
        self.epoch = EPOCH
        self.states = [self._log.snapshot]
        self.changes: list[Change] = []

    @property
    def now(self) -> Snapshot:
        return self.states[-1]

    def put(self, flag_id: int, key: str, description: str) -> bytes:
        if self.now.flags.get(key, flag(flag_id, key)).id != flag_id:
            key = f"{key}{flag_id}"
        there = self.now.by_id(flag_id) is not None
        type_ = EventType.FLAG_UPDATED if there else EventType.FLAG_CREATED
        return self._append(self._log.put(flag(flag_id, key, description=description), type_))

    def delete(self, flag_id: int) -> bytes:
        return self._append(self._log.delete(flag_id))

    def _append(self, change: Change) -> bytes:
        snapshot = self._log.snapshot
        self.changes.append(change)
        self.states.append(Snapshot(self.epoch, snapshot.revision, snapshot.flags, snapshot.keys, snapshot.digest))
        return stream_bytes.change(change, self.epoch)

    def restore(self) -> None:
        """Start a new epoch with an older state, as an operator does with a backup."""
        old = self.states[len(self.states) // 2]
        self._log = Log(*old.flags.values(), revision=old.revision)
        self.epoch += "'"
        self.states = [Snapshot.of(self.epoch, old.revision, old.flags.values())]
        self.changes = []

    def greet(self, last_event_id: str | None) -> list[bytes]:
        """Return what a new stream begins with."""
        cursor = Cursor.parse(last_event_id)
        if cursor is None:
            return [stream_bytes.connected(self.now, "none")]
        missed = self.now.revision - cursor.revision
        if cursor.epoch != self.epoch or not 0 <= missed <= min(TOMBSTONES, len(self.changes)):
            return [stream_bytes.connected(self.now, "resync"), stream_bytes.resync(self.now.cursor)]
        if missed == 0:
            return [stream_bytes.connected(self.now, "current")]
        hello = stream_bytes.connected(self.now, "changes")
        if missed > RING:
            return [hello, self.sync(missed)]
        return [hello, *(stream_bytes.change(change, self.epoch) for change in self.changes[-missed:])]

    def sync(self, missed: int) -> bytes:
        return stream_bytes.sync(stream_bytes.net_change(self.states[-1 - missed], self.now))


class Following:
    """A server, a stream with faults, a feed and its holder; each action takes a number that decides the details."""

    def __init__(self, *, verify: bool) -> None:
        self.server = Server()
        self.feed = Feed(random=lambda: 0.5)
        self.holder = Holder(self.feed, self.server, verify=verify)
        self.wire: list[bytes] = []
        self.connect()

    def connect(self) -> None:
        self.feed.opened(200, "text/event-stream", 0.0)
        self.wire = self.server.greet(self.feed.request().headers.get("Last-Event-ID"))

    def put(self, choice: int) -> None:
        self.wire.append(self.server.put(1 + choice % 4, "ab"[choice % 2], "xyz"[choice % 3]))

    def delete(self, choice: int) -> None:
        flag_ids = sorted(self.server.now.keys)
        if flag_ids:
            self.wire.append(self.server.delete(flag_ids[choice % len(flag_ids)]))

    def beat(self, _choice: int) -> None:
        self.wire.append(stream_bytes.heartbeat(self.server.now))

    def send_to_the_snapshot(self, _choice: int) -> None:
        self.wire.append(stream_bytes.resync(self.server.now.cursor))

    def send_a_net_change(self, choice: int) -> None:
        if self.server.changes:
            self.wire.append(self.server.sync(1 + choice % len(self.server.changes)))

    def arrive(self, choice: int) -> None:
        count = 1 + choice % 4
        stream, self.wire = b"".join(self.wire[:count]), self.wire[count:]
        place = choice % (len(stream) + 1)
        for chunk in (stream[:place], stream[place:]):
            self._receive(chunk)

    def lose(self, choice: int) -> None:
        if self.wire:
            self.wire.pop(choice % len(self.wire))

    def repeat(self, choice: int) -> None:
        if self.wire:
            self.wire.insert(choice // 8 % (len(self.wire) + 1), self.wire[choice % len(self.wire)])

    def reorder(self, choice: int) -> None:
        if self.wire:
            self.wire.append(self.wire.pop(choice % len(self.wire)))

    def damage(self, choice: int) -> None:
        if self.wire:
            old, new = DAMAGES[choice // 8 % len(DAMAGES)]
            place = choice % len(self.wire)
            self.wire[place] = self.wire[place].replace(old, new)

    def cut(self, _choice: int = 0) -> None:
        self.feed.closed(0.0)
        self.connect()

    def restore_a_backup(self, _choice: int) -> None:
        self.server.restore()
        self.cut()

    def check(self) -> None:
        held, first = self.holder.snapshot, self.server.states[0]
        assert (None if held is None else held.cursor) == self.feed.cursor
        if held is not None and held.epoch == first.epoch:
            assert held == self.server.states[held.revision - first.revision]

    def settle(self) -> None:
        """Let what is on its way arrive, and the next sign of life."""
        self.wire.append(stream_bytes.heartbeat(self.server.now))
        while self.wire:
            stream, self.wire = b"".join(self.wire), []
            self._receive(stream)

    def _receive(self, chunk: bytes) -> None:
        self.holder.take(self.feed.received(chunk, 0.0))
        if self.feed.failure is not None:
            self.cut()


def follow(script: list[tuple[str, int]], *, verify: bool) -> None:
    following = Following(verify=verify)
    for action, choice in script:
        getattr(following, action)(choice)
        following.check()
    following.settle()

    assert following.holder.snapshot == following.server.now


def scripts(*more: str) -> st.SearchStrategy[list[tuple[str, int]]]:
    """Draw actions, those most often without which nothing happens."""
    usual = ["put"] * 8 + ["arrive"] * 12 + ["delete", "beat", "beat", "lose", "lose", "repeat", "repeat", "reorder"]
    seldom = ["send_a_net_change", "send_to_the_snapshot", "cut", "restore_a_backup"]
    return st.lists(
        st.tuples(st.sampled_from([*usual, *seldom, *more]), st.integers(0, 10_000)), min_size=30, max_size=60
    )


@settings(max_examples=200)
@given(scripts())
def test_a_holder_that_trusts_the_feed_ends_equal_to_the_server_and_never_goes_back(
    script: list[tuple[str, int]],
) -> None:
    follow(script, verify=False)


@settings(max_examples=200)
@given(scripts("damage", "damage", "damage"))
def test_a_holder_that_compares_digests_does_so_even_when_bytes_are_damaged(script: list[tuple[str, int]]) -> None:
    follow(script, verify=True)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))),
    st.integers(0, 20),
    st.lists(st.integers(0, 20), max_size=3),
)
def test_a_filtered_reader_has_what_it_asked_for_though_it_is_cut_off_and_hears_things_twice(
    edits: list[tuple[str, str]], cut_at: int, repeated: list[int]
) -> None:
    log = Log(*(flag(number, key) for number, key in enumerate("abc", 1)))
    start = log.snapshot
    feed = Feed(start.cursor, flag_keys=["b"], random=lambda: 0.0)
    held = start.flags["b"]
    frames = [stream_bytes.connected(start, "current")]
    for key, description in edits:
        change = log.put(flag("abc".index(key) + 1, key, description=description))
        frames += [stream_bytes.change(change, EPOCH)] if key == "b" else [stream_bytes.heartbeat(log.snapshot)]
    frames += [frames[place] for place in repeated if 0 < place < len(frames)]

    feed.opened(200, "text/event-stream", 0.0)
    updates = feed.received(b"".join(frames[:cut_at]), 0.0)
    if feed.live:
        feed.closed(0.0)
        feed.opened(200, "text/event-stream", 0.0)
        updates += feed.received(b"".join(frames), 0.0)
    for update in updates:
        assert isinstance(update, Change), update
        assert update.flag is not None
        held = update.flag

    assert held == (log.snapshot if feed.live else start).flags["b"]
    assert feed.cursor == (log.snapshot if feed.live else start).cursor
