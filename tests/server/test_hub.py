"""The hub as a reader meets it: what follows a cursor, and what tells it to look."""

from __future__ import annotations

import asyncio
import logging

import pytest
from change_log import EPOCH, Log, flag
from msgspec.structs import replace
from sse_messages import Message, parse

from flagent.core.changes import Change, Cursor, EventType, digest_text
from flagent.errors import Diverged
from flagent.server.filters import EVERYTHING, Filter
from flagent.server.hub import Bridge, Hub


def at(revision: int) -> Cursor:
    return Cursor(EPOCH, revision)


def read(hub: Hub, revision: int, wanted: Filter = EVERYTHING) -> list[Message]:
    frames, cursor = hub.read(at(revision), wanted)
    assert cursor == hub.cursor
    return parse(b"".join(frames))


def compatible(hub: Hub, revision: int, wanted: Filter = EVERYTHING) -> list[Message]:
    frames, cursor = hub.read_compatible(at(revision), wanted, 1)
    assert cursor == hub.cursor
    return parse(b"".join(frames))


def test_a_live_reader_gets_each_change_with_the_flag() -> None:
    log = Log(flag(1, "a"))
    hub = Hub(log.stored())

    hub.deliver([log.put(flag(1, "a", enabled=False), EventType.FLAG_TOGGLED), log.put(flag(2, "b"))])

    first, second = read(hub, 0)
    assert (first.type, first.id) == ("flag.toggled", f"{EPOCH}:1")
    assert first.data["flag"]["enabled"] is False
    assert (second.type, second.id) == ("flag.updated", f"{EPOCH}:2")
    assert second.data["digest"] == digest_text(log.snapshot.digest)


def test_a_deletion_carries_no_flag() -> None:
    log = Log(flag(1, "a"))
    hub = Hub(log.stored())

    hub.deliver([log.delete(1)])

    (event,) = read(hub, 0)
    assert event.type == "flag.deleted"
    assert "flag" not in event.data


def test_readers_at_the_same_cursor_share_the_bytes() -> None:
    log = Log()
    hub = Hub(log.stored())
    hub.deliver([log.put(flag(1, "a")), log.put(flag(2, "b"))])

    first, _ = hub.read(at(0))
    second, _ = hub.read(at(0))

    assert first is second


def test_a_current_reader_gets_nothing() -> None:
    hub = Hub(Log(flag(1, "a"), revision=7).stored())

    assert hub.read(at(7)) == ((), at(7))
    assert hub.bridge(at(7)) is Bridge.CURRENT


def test_a_reader_that_is_ahead_waits_and_is_never_taken_back() -> None:
    log = Log()
    hub = Hub(log.stored())
    hub.deliver([log.put(flag(1, "a"))])

    assert hub.read(at(5)) == ((), at(5))
    assert hub.bridge(at(5)) is Bridge.CURRENT


def test_a_reader_of_another_log_is_sent_to_the_snapshot() -> None:
    hub = Hub(Log(flag(1, "a"), revision=7).stored())

    frames, cursor = hub.read(Cursor("other", 7))

    assert cursor == at(7)
    assert [(event.type, event.data["revision"]) for event in parse(b"".join(frames))] == [("resync", f"{EPOCH}:7")]
    assert hub.bridge(Cursor("other", 7)) is Bridge.RESYNC


def test_known_changes_are_passed_over() -> None:
    log = Log()
    hub = Hub(log.stored())
    changes = [log.put(flag(1, "a")), log.put(flag(2, "b"))]
    hub.deliver(changes[:1])

    hub.deliver(changes)

    assert hub.cursor == at(2)
    assert len(read(hub, 0)) == 2


def test_a_gap_in_the_log_is_an_error_and_changes_nothing() -> None:
    log = Log()
    hub = Hub(log.stored())
    log.put(flag(1, "a"))

    with pytest.raises(Diverged, match="revision 2 does not follow 0"):
        hub.deliver([log.put(flag(2, "b"))])

    assert hub.cursor == at(0)
    assert not hub.snapshot.flags


def test_a_wrong_digest_is_counted_and_logged_and_the_change_is_served(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    hub = Hub(log.stored())
    change = replace(log.put(flag(1, "a")), digest=1)

    with caplog.at_level(logging.ERROR, "flagent.hub"):
        hub.deliver([change])

    assert hub.divergences == 1
    assert "contradicts itself" in caplog.text
    assert set(hub.snapshot.flags) == {"a"}


def test_ids_follow_changes_of_other_processes() -> None:
    log = Log()
    hub = Hub(log.stored())

    hub.deliver([log.put(flag(41, "a"))])

    assert hub.ids.flag == 41


def test_reached_returns_when_the_revision_is_there() -> None:
    log = Log()
    change = log.put(flag(1, "a"))

    async def scenario() -> Cursor:
        hub = Hub(Log().stored())
        waiting = asyncio.create_task(hub.reached(1, 5))
        await asyncio.sleep(0)
        assert not waiting.done()
        hub.deliver([change])
        await waiting
        return hub.cursor

    assert asyncio.run(scenario()) == at(1)


def test_reached_gives_up_after_its_timeout() -> None:
    hub = Hub(Log().stored())

    with pytest.raises(TimeoutError):
        asyncio.run(hub.reached(1, 0.01))


def test_every_bell_rings_at_a_delivery() -> None:
    log = Log()
    hub = Hub(log.stored())
    kept, removed = asyncio.Event(), asyncio.Event()
    hub.add_bell(kept.set)
    hub.add_bell(removed.set)
    hub.remove_bell(removed.set)

    hub.deliver([log.put(flag(1, "a"))])

    assert kept.is_set()
    assert not removed.is_set()


class TestFilters:
    @pytest.fixture
    def hub(self) -> Hub:
        """A hub that stands at revision 3: `a` (id 1, tag x) changed, `b` (id 2) changed, `a` became `c`."""
        log = Log(flag(1, "a", tags=["x"]), flag(2, "b"))
        hub = Hub(log.stored())
        hub.deliver(
            [
                log.put(flag(1, "a", tags=["x"], description="new")),
                log.put(flag(2, "b", description="new")),
                log.put(flag(1, "c")),
            ]
        )
        return hub

    @pytest.mark.parametrize(
        ("wanted", "revisions"),
        [
            pytest.param({"keys": {"a"}}, [1, 3], id="a key matches before and after a renaming"),
            pytest.param({"keys": {"c"}}, [3], id="the new key too"),
            pytest.param({"ids": {2}}, [2], id="id"),
            pytest.param({"ids": set()}, [], id="an id that is no number lets nothing through"),
            pytest.param({"keys": {"a"}, "ids": {2}}, [], id="both kinds must hold"),
            pytest.param({"keys": {"a", "b"}, "ids": {2}}, [2], id="any of a kind"),
            pytest.param({"tags": {"x"}}, [1, 3], id="a tag before or after the change"),
            pytest.param({"tags": {"x", "y"}, "keys": {"c"}}, [3], id="tag and key"),
        ],
    )
    def test_decide_which_changes_pass(self, hub: Hub, wanted: dict[str, set[object]], revisions: list[int]) -> None:
        conditions = Filter(**{kind: frozenset(values) for kind, values in wanted.items()})  # type: ignore[arg-type]

        found = read(hub, 0, conditions)

        assert [event.data["revision"] for event in found] == [f"{EPOCH}:{revision}" for revision in revisions]

    def test_a_filtered_reader_keeps_up_without_getting_anything(self, hub: Hub) -> None:
        assert hub.read(at(0), Filter(keys=frozenset({"unknown"}))) == ((), at(3))


class TestCompatible:
    def test_a_burst_on_a_flag_is_one_event_without_the_flag(self) -> None:
        log = Log(flag(1, "a"), flag(2, "b"))
        hub = Hub(log.stored())
        hub.deliver(
            [
                *(log.put(flag(1, "a", description=str(number))) for number in range(50)),
                log.put(flag(2, "b", description="new")),
            ]
        )
        hub.deliver([log.put(flag(1, "a", enabled=False), EventType.FLAG_TOGGLED)])

        events = compatible(hub, 0)

        assert [(event.type, event.data["flagKey"]) for event in events] == [
            ("flag.updated", "b"),
            ("flag.toggled", "a"),
        ]
        assert all("flag" not in event.data for event in events)

    def test_a_renamed_flag_reaches_those_who_asked_for_the_old_key(self) -> None:
        log = Log(flag(1, "a"))
        hub = Hub(log.stored())
        hub.deliver([log.put(flag(1, "b")), log.put(flag(1, "b", description="later"))])

        events = compatible(hub, 0, Filter(keys=frozenset({"a"})))

        assert [event.data["flagKey"] for event in events] == ["b"]

    def test_a_reader_beyond_the_ring_gets_a_nudge(self) -> None:
        log = Log(flag(1, "a"), flag(2, "b"))
        hub = Hub(log.stored(), ring=2)
        hub.deliver([log.put(flag(1, "a", description=str(number))) for number in range(3)])

        (event,) = compatible(hub, 0)

        assert (event.type, event.data["flagKey"], event.id) == ("flag.updated", "a", "")

    def test_the_nudge_is_about_the_flag_that_changed_last_and_passes(self) -> None:
        log = Log(flag(1, "a"), flag(2, "b"), flag(3, "c"))
        hub = Hub(log.stored())
        hub.deliver([log.put(flag(number, key, description="new")) for number, key in [(2, "b"), (3, "c"), (1, "a")]])

        (any_flag,) = parse(b"".join(hub.nudge(EVERYTHING, 5)))
        (chosen,) = parse(b"".join(hub.nudge(Filter(keys=frozenset({"b", "c"})), 5)))

        assert any_flag.data["flagKey"] == "a"
        assert (chosen.data["flagKey"], chosen.data["timestamp"]) == ("c", 5)

    def test_there_is_no_nudge_without_a_flag(self) -> None:
        hub = Hub(Log(flag(1, "a")).stored())

        assert hub.nudge(Filter(keys=frozenset({"b"})), 5) == ()
        assert Hub(Log().stored()).nudge(EVERYTHING, 5) == ()


def test_lines_for_flagents_clients_stay_short_however_large_the_flag() -> None:
    log = Log()
    hub = Hub(log.stored())
    large: Change = log.put(flag(1, "a", description="x" * 200_000))

    hub.deliver([large])

    frames, _ = hub.read_compatible(at(0), EVERYTHING, 1)
    assert max(map(len, b"".join(frames).split(b"\n"))) < 64 * 1024 - 1
