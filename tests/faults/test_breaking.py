"""Streams that break, fall silent or crawl: what was missed is made up for, and flags are evaluated meanwhile."""

from __future__ import annotations

from collections import Counter

import pytest
from fault_proxy import Answer, Cut, Drip, Ending, FaultProxy, IdleLimit, Split
from faults_parts import EVENTS, HELLO, ManagerOf, Switch, kind_of
from live import LiveServer
from waiting import until

from flagent import FlagChange, State


@pytest.mark.covers("F05", "I1", "I6")
def test_server_that_vanishes_without_a_word_is_noticed_by_its_silence(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch
) -> None:
    manager = follow()
    proxy.streams(Answer("503 Service Unavailable", ending=Ending.CLOSE))

    proxy.end(Ending.HANG)
    until(lambda: not manager.is_realtime_enabled())
    assert switch.shows(manager)
    proxy.clear()

    switch.arrives(manager)
    until(manager.is_realtime_enabled)
    assert manager.status.divergences == 0


@pytest.mark.covers("F05", "G5", "I5")
def test_why_a_silent_stream_was_given_up_is_told(proxy: FaultProxy, follow: ManagerOf) -> None:
    manager = follow(max_reconnect_delay=30.0, reconnect_delay=30.0)

    proxy.end(Ending.HANG)
    until(lambda: not manager.is_realtime_enabled())

    status = manager.status
    assert (status.state, kind_of(manager), status.staleness_bound) == (State.OFFLINE, "timeout", None)
    # It was silent for 2.5 heartbeats of 0.2 s.
    assert status.staleness is not None and status.staleness >= 0.4


@pytest.mark.covers("F06")
def test_stream_that_is_reset_inside_an_event_goes_on_from_the_last_that_was_applied(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch
) -> None:
    manager = follow()
    proxy.streams(Cut(b'"flag.toggled"', ending=Ending.RESET))
    proxy.end()
    until(lambda: len(proxy.opened) == 2 and manager.is_realtime_enabled())
    proxy.clear()
    applied = manager.status.cursor

    switch.arrives(manager)

    assert [request.headers["last-event-id"] for request in proxy.opened[1:]] == [applied] * 2
    assert manager.status.divergences == 0


@pytest.mark.covers("F06")
@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
def test_connection_that_breaks_is_said_to_be_broken_and_not_to_be_wrong(
    proxy: FaultProxy, follow: ManagerOf, ending: Ending
) -> None:
    manager = follow(reconnect_delay=30.0, max_reconnect_delay=30.0)

    proxy.end(ending)

    until(lambda: not manager.is_realtime_enabled())
    assert (manager.status.state, kind_of(manager)) == (State.OFFLINE, "network")


@pytest.mark.covers("F07", "I9")
def test_server_that_hangs_up_after_each_event_is_asked_less_and_less_and_followed_all_the_same(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch
) -> None:
    manager = follow()
    # The greeting, and one thing more.
    proxy.streams(Cut(b"\n\n", times=3))
    proxy.end()

    until(lambda: manager.status.attempt >= 8)
    switch.arrives(manager)

    # Streams that became live did not make it begin anew with short waits.
    assert manager.status.attempt >= 8


@pytest.mark.covers("F08")
@pytest.mark.parametrize("fault", [Drip(16, 0.002), Split(1)], ids=["slowly", "in pieces"])
def test_stream_that_crawls_is_as_good_as_any(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch, fault: Drip | Split
) -> None:
    proxy.streams(fault)
    manager = follow()

    for _ in range(3):
        switch.arrives(manager)

    assert manager.status.attempt <= 1


@pytest.mark.covers("F09", "I4")
def test_stream_that_drips_without_ever_saying_anything_is_dead(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch
) -> None:
    manager = follow()
    proxy.streams(Answer("200 OK", HELLO, (EVENTS,), again=b"data: x\n", pause=0.002))
    proxy.end()

    until(lambda: manager.status.attempt >= 3)
    until(lambda: kind_of(manager) == "timeout")

    assert switch.shows(manager)


@pytest.mark.covers("F11", "G5", "I1", "I5")
@pytest.mark.usefixtures("short_waits")
def test_after_a_partition_each_flag_that_changed_is_told_once(
    proxy: FaultProxy, follow: ManagerOf, quick_server: LiveServer, request: pytest.FixtureRequest
) -> None:
    switches = [Switch(quick_server, f"{request.node.name}-{number}") for number in range(3)]
    told: Counter[str] = Counter()

    def note(change: FlagChange) -> None:
        told[change.flag_key] += 1

    manager = follow()
    until(lambda: all(switch.shows(manager) for switch in switches))
    manager.on_change(note)
    proxy.hold()
    # More than the server sends one by one to whoever comes back; and to another state in the end.
    for _ in range(33):
        for switch in switches:
            switch.turn()
    until(lambda: not manager.is_realtime_enabled())
    first = manager.status.staleness or 0.0
    until(lambda: (manager.status.staleness or 0.0) > first + 0.2)
    assert not any(switch.shows(manager) for switch in switches)
    proxy.release()

    until(lambda: all(switch.shows(manager) for switch in switches))
    until(manager.is_realtime_enabled)
    until(lambda: told == {switch.key: 1 for switch in switches})
    assert manager.status.divergences == 0


@pytest.mark.covers("F14")
def test_heartbeats_keep_a_stream_open_where_idle_ones_are_cut(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch
) -> None:
    proxy.streams(IdleLimit(5.0))
    manager = follow()

    until(lambda: manager.status.since > 1.5)

    switch.arrives(manager)
    assert len(proxy.opened) == 1
    assert manager.status.advice is None


@pytest.mark.covers("F14")
def test_where_idle_streams_are_cut_before_the_heart_beats_they_are_opened_again_and_again(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch
) -> None:
    proxy.streams(IdleLimit(0.05))
    manager = follow()

    until(lambda: manager.status.attempt >= 5)

    for _ in range(3):
        switch.arrives(manager)
    until(lambda: manager.status.advice is not None)
    assert "FLAGENT_HEARTBEAT" in str(manager.status.advice)
    assert len({request.headers["last-event-id"].partition(":")[0] for request in proxy.opened}) == 1
    assert not any(request.path.endswith("json") for request in proxy.requests[1:])
