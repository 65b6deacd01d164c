"""Readers that fell behind: they get the net change, or are sent to the snapshot, and always end up right."""

from __future__ import annotations

import msgspec
import pytest
from change_log import EPOCH, Log, flag
from hypothesis import given, settings
from hypothesis import strategies as st
from sse_messages import Message, parse

from flagent.core.changes import Change, Cursor, FlagRef, Snapshot
from flagent.core.model import Flag
from flagent.server.filters import EVERYTHING, Filter
from flagent.server.hub import Bridge, Hub
from flagent.server.storage import Stored


def at(revision: int) -> Cursor:
    return Cursor(EPOCH, revision)


def many(log: Log, count: int) -> list[Change]:
    return [log.put(flag(1, "a", description=str(number))) for number in range(count)]


def read(hub: Hub, revision: int, wanted: Filter = EVERYTHING) -> list[Message]:
    return parse(b"".join(hub.read(at(revision), wanted)[0]))


def test_a_reader_far_behind_gets_one_sync() -> None:
    log = Log(flag(2, "b"), flag(3, "c"))
    hub = Hub(log.stored(), sync_after=4)
    hub.deliver([*many(log, 4), log.delete(3)])

    (event,) = read(hub, 0)

    assert (event.type, event.id) == ("sync", f"{EPOCH}:5")
    assert (event.data["from"], event.data["revision"]) == (f"{EPOCH}:0", f"{EPOCH}:5")
    assert [each["key"] for each in event.data["flags"]] == ["a"]
    assert event.data["deleted"] == [{"id": 3, "key": "c"}]
    assert hub.bridge(at(0)) is Bridge.SYNC


def test_a_reader_a_little_behind_gets_the_changes() -> None:
    log = Log()
    hub = Hub(log.stored(), sync_after=4)
    hub.deliver(many(log, 5))

    assert [event.type for event in read(hub, 1)] == ["flag.updated"] * 4
    assert hub.bridge(at(1)) is Bridge.CHANGES


@pytest.mark.covers("G13")
def test_a_restarted_server_bridges_from_what_is_stored() -> None:
    """G13: the ring is empty after a restart."""
    log = Log(flag(1, "a"), flag(2, "b"))
    log.put(flag(1, "renamed"))
    log.delete(2)
    tombstones = ((1, FlagRef(1, "a")), (2, FlagRef(2, "b")))
    hub = Hub(Stored(log.snapshot, log.stored().ids, tombstones, 0))

    (event,) = read(hub, 0)

    assert [each["key"] for each in event.data["flags"]] == ["renamed"]
    assert event.data["deleted"] == [{"id": 1, "key": "a"}, {"id": 2, "key": "b"}]


@pytest.mark.covers("F55")
def test_a_cursor_older_than_the_tombstones_is_sent_to_the_snapshot() -> None:
    hub = Hub(Stored(Snapshot.of(EPOCH, 9, [flag(1, "a")]), Log().stored().ids, (), 5))

    assert [event.type for event in read(hub, 4)] == ["resync"]
    assert [event.type for event in read(hub, 5)] == ["sync"]
    assert hub.delta(at(4)) is None


def test_tombstones_are_bounded() -> None:
    log = Log(*(flag(number, f"f{number}") for number in range(1, 6)))
    hub = Hub(log.stored(), ring=1, max_tombstones=2)
    hub.deliver([log.delete(number) for number in range(1, 6)])

    assert [event.type for event in read(hub, 2)] == ["resync"]
    (event,) = read(hub, 3)
    assert [each["key"] for each in event.data["deleted"]] == ["f4", "f5"]


def test_a_flag_that_came_back_is_not_among_the_deleted() -> None:
    log = Log(flag(1, "a"))
    hub = Hub(log.stored(), sync_after=1)
    hub.deliver([log.delete(1), log.put(flag(1, "a"))])

    (event,) = read(hub, 0)

    assert event.data["deleted"] == []
    assert [each["key"] for each in event.data["flags"]] == ["a"]


def test_a_filtered_sync_holds_only_what_passes_and_no_digest() -> None:
    log = Log(flag(3, "c"), flag(4, "d"))
    hub = Hub(log.stored(), sync_after=1)
    hub.deliver([log.put(flag(1, "a")), log.put(flag(2, "b")), log.delete(3), log.delete(4)])

    (event,) = read(hub, 0, Filter(keys=frozenset({"a", "c"})))

    assert [each["key"] for each in event.data["flags"]] == ["a"]
    assert event.data["deleted"] == [{"id": 3, "key": "c"}]
    assert event.data.get("digest") is None


def test_a_filtered_sync_holds_a_renamed_flag_under_both_keys() -> None:
    log = Log(flag(1, "a"))
    hub = Hub(log.stored(), sync_after=1)
    hub.deliver([log.put(flag(1, "b")), log.put(flag(1, "b", description="later"))])

    (event,) = read(hub, 0, Filter(keys=frozenset({"a"})))

    assert event.data["deleted"] == [{"id": 1, "key": "a"}]
    assert [each["key"] for each in event.data["flags"]] == ["b"]


def test_a_reader_by_tag_gets_changes_as_far_as_the_ring_reaches_and_then_the_snapshot() -> None:
    log = Log(flag(1, "a", tags=["x"]))
    hub = Hub(log.stored(), ring=3, sync_after=1)
    hub.deliver([log.put(flag(1, "a")), log.put(flag(2, "b")), log.put(flag(1, "a", description="untagged"))])
    tagged = Filter(tags=frozenset({"x"}))

    assert [event.data["revision"] for event in read(hub, 0, tagged)] == [f"{EPOCH}:1"]

    hub.deliver([log.put(flag(2, "b", description="new"))])

    assert [event.type for event in read(hub, 0, tagged)] == ["resync"]


def test_a_reloaded_hub_serves_what_it_was_given() -> None:
    log = Log(flag(1, "a"))
    hub = Hub(log.stored())
    hub.deliver([log.put(flag(1, "a", description="new"))])
    log.put(flag(2, "b"))

    hub.reload(Stored(log.snapshot, log.stored().ids, (), 0))

    assert hub.cursor == at(2)
    (event,) = read(hub, 0)
    assert {each["key"] for each in event.data["flags"]} == {"a", "b"}
    hub.deliver([log.put(flag(3, "c"))])
    assert [event.type for event in read(hub, 2)] == ["flag.updated"]


@pytest.mark.parametrize("count", [1, 10, 1000])
@pytest.mark.covers("F58", "I7")
def test_what_a_slow_reader_costs_does_not_grow_with_what_it_missed(count: int) -> None:
    log = Log()
    hub = Hub(log.stored(), ring=16, sync_after=4)

    hub.deliver(many(log, count))

    frames, _ = hub.read(at(0))
    assert len(frames) < 4096


class Reader:
    """Holds flags by what it is told, as a client does."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.cursor = hub.cursor
        self.flags = dict(hub.snapshot.flags)

    def catch_up(self) -> None:
        frames, self.cursor = self.hub.read(self.cursor)
        for message in parse(b"".join(frames)):
            self._apply(message)

    def _apply(self, message: Message) -> None:
        if message.type == "resync":
            self.flags = dict(self.hub.snapshot.flags)
        elif message.type == "sync":
            self._replace([ref["id"] for ref in message.data["deleted"]], message.data["flags"])
        else:
            self._replace([message.data["flagID"]], [message.data["flag"]] if "flag" in message.data else [])

    def _replace(self, gone: list[int], put: list[dict[str, object]]) -> None:
        flags = [msgspec.convert(each, Flag) for each in put]
        leaving = {*gone, *(each.id for each in flags)}
        self.flags = {key: each for key, each in self.flags.items() if each.id not in leaving}
        self.flags.update({each.key: each for each in flags})


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 4), st.sampled_from("abcdef"), st.booleans()),
        st.tuples(st.just("delete"), st.integers(1, 4), st.just(""), st.just(False)),
        st.tuples(st.just("read"), st.integers(0, 2), st.just(""), st.just(False)),
    ),
    max_size=40,
)


@given(steps=_steps, ring=st.integers(1, 6), sync_after=st.integers(1, 6), max_tombstones=st.integers(0, 3))
@settings(max_examples=150, deadline=None)
@pytest.mark.covers("G7", "I1")
def test_readers_of_any_speed_hold_the_hubs_state_whenever_they_read(
    steps: list[tuple[str, int, str, bool]], ring: int, sync_after: int, max_tombstones: int
) -> None:
    """G7, I1: whatever happens between two reads, the reader holds the hub's flags after each."""
    log = Log()
    hub = Hub(log.stored(), ring=ring, sync_after=sync_after, max_tombstones=max_tombstones)
    readers = [Reader(hub) for _ in range(3)]

    for kind, number, key, enabled in [*steps, *(("read", number, "", False) for number in range(3))]:
        holder = log.snapshot.flags.get(key)
        if kind == "put" and (holder is None or holder.id == number):
            before = log.snapshot.revision
            log_put(log, hub, flag(number, key, enabled=enabled))
            assert hub.cursor.revision >= before
        elif kind == "delete" and log.snapshot.by_id(number):
            hub.deliver([log.delete(number)])
        elif kind == "read":
            readers[number].catch_up()
            assert readers[number].flags == hub.snapshot.flags


def log_put(log: Log, hub: Hub, new: Flag) -> None:
    old = log.snapshot.by_id(new.id)
    # What changes nothing is no change.
    if old is None or (old.key, old.enabled) != (new.key, new.enabled):
        hub.deliver([log.put(new)])


def resumed(hub: Hub, revision: int, wanted: Filter = EVERYTHING) -> list[Message]:
    return parse(b"".join(hub.read(at(revision), wanted, resumes=True)[0]))


def test_a_reader_that_resumes_gets_one_event_for_many_changes_of_one_flag() -> None:
    log = Log()
    hub = Hub(log.stored())
    hub.deliver(many(log, 20))

    (event,) = resumed(hub, 3)

    assert (event.type, event.data["from"], event.id) == ("sync", f"{EPOCH}:3", f"{EPOCH}:20")
    assert [each["description"] for each in event.data["flags"]] == ["19"]
    # One that was there all the time is told of each.
    assert len(read(hub, 3)) == 17


def test_a_reader_that_resumes_gets_changes_of_different_flags_one_by_one() -> None:
    log = Log()
    hub = Hub(log.stored())
    hub.deliver([log.put(flag(number, f"f{number}")) for number in range(1, 9)])

    assert [event.type for event in resumed(hub, 0)] == ["flag.updated"] * 8


def test_a_reader_that_resumes_with_tags_gets_changes_because_nobody_knows_what_left_a_tag() -> None:
    log = Log(flag(1, "a", tags=["x"]))
    hub = Hub(log.stored())
    hub.deliver([log.put(flag(1, "a", tags=["x"], description=str(number))) for number in range(9)])

    assert len(resumed(hub, 0, Filter(tags=frozenset({"x"})))) == 9


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["a", "b", "c", ""])), max_size=20), st.integers(0, 20))
def test_whoever_resumes_ends_up_where_the_server_is(steps: list[tuple[int, str]], stopped: int) -> None:
    log = Log()
    hub = Hub(log.stored())
    known = log.snapshot
    for position, (number, key) in enumerate(steps):
        taken = {each.key for each in log.snapshot.flags.values() if each.id != number}
        if key == "" and log.snapshot.by_id(number) is not None:
            hub.deliver([log.delete(number)])
        elif key and key not in taken:
            hub.deliver([log.put(flag(number, key, description=str(position)))])
        if position <= stopped:
            known = log.snapshot

    events = resumed(hub, known.revision)

    flags = {each.id: each.key for each in known.flags.values()}
    for event in events:
        for gone in event.data.get("deleted", []):
            flags.pop(gone["id"], None)
        for each in event.data.get("flags", []):
            flags[each["id"]] = each["key"]
        if event.type != "sync":
            flags.pop(event.data["flagID"], None)
            if "flag" in event.data:
                flags[event.data["flagID"]] = event.data["flag"]["key"]
    assert flags == {each.id: each.key for each in hub.snapshot.flags.values()}
    assert not events or events[-1].id == str(hub.cursor)
