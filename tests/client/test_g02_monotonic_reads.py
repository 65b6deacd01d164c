"""G2: flags never go back within a log, whoever answers: another server, a poll, a stream, the disk."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import pytest
from change_log import EPOCH, Log, flag
from hypothesis import given
from hypothesis import strategies as st
from live import LiveServer
from manual_clock import Clock
from raw_server import Connection, Request
from rest import Rest
from sdk_parts import CONNECTED, ManagerOf, StartRaw, document, keys_of
from waiting import until

from flagent import FlagChange, TransportError
from flagent.client.replica import Replica
from flagent.core.changes import Cursor, Snapshot
from flagent.core.evaluation import Ruleset

#: The log that the property reads: a flag is made, changed, deleted, made again.
_LOG = Log()
_STATES = [_LOG.snapshot]
for _number in range(1, 13):
    if _number % 4 == 0:
        _LOG.delete(1)
    else:
        _LOG.put(flag(1 + _number % 2, f"k{1 + _number % 2}", description=str(_number)))
    _STATES.append(_LOG.snapshot)


@pytest.mark.covers("G2", "G7", "F40", "F43", "F44", "F48", "I2", "I3", "I4")
@given(st.lists(st.tuples(st.sampled_from(["snapshot", "change"]), st.integers(0, 11)), max_size=40))
def test_whatever_arrives_in_whatever_order_leads_to_states_of_the_log_and_never_back(
    arrivals: list[tuple[str, int]],
) -> None:
    replica, before = Replica(Clock()), -1
    replica.replace(Ruleset.compile(_STATES[0]), None)
    for kind, number in arrivals:
        held = replica.ruleset
        assert held is not None
        if kind == "snapshot":
            replica.replace(Ruleset.compile(_STATES[number]), None)
        elif _LOG.changes[number].revision <= held.snapshot.revision + 1:
            # What leaves a gap is the feed's to refuse.
            change = _LOG.changes[number]
            replica.apply(change, Cursor(EPOCH, change.revision), verify=True, partial=False)
        assert replica.ruleset is not None
        now = replica.ruleset.snapshot

        assert now.revision >= before
        assert now == _state_at(now.revision)
        before = now.revision


def _state_at(revision: int) -> Snapshot:
    return next(state for state in _STATES if state.revision == revision)


@pytest.mark.covers("G2", "F44", "F57", "I2", "I4")
def test_a_client_that_is_sent_from_one_server_to_another_that_is_behind_keeps_what_it_knows(
    raw_server: StartRaw, manager_of: ManagerOf
) -> None:
    """Streams end at once, and every second answer is of the server that is behind."""
    behind = cycle([False, True])

    def answer(request: Request, connection: Connection) -> None:
        revision = 1 if next(behind) else 2
        if request.is_export:
            connection.answer(document(revision, *("a", "b")[:revision]))
        else:
            connection.begin_stream(("connected", {**CONNECTED, "revision": f"e:{revision}"}))

    server, changes = raw_server(answer), list[FlagChange]()
    manager = manager_of(server.url, refresh_interval=0.05, fallback_after=0.0)
    manager.bootstrap()
    manager.on_change(changes.append)
    manager.enable_realtime_updates(timeout=0)

    until(lambda: sum(request.is_stream for request in server.requests) >= 6, limit=30.0)
    until(lambda: sum(request.is_export for request in server.requests) >= 4, limit=30.0)

    assert keys_of(manager) == {"a", "b"}
    assert manager.status.cursor == "e:2"
    assert changes == []


@pytest.mark.covers("F44")
def test_an_older_snapshot_is_an_error_that_says_so(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    revision = 2

    def answer(_request: Request, connection: Connection) -> None:
        connection.answer(document(revision, *("a", "b")[:revision]))

    manager = manager_of(raw_server(answer).url, auto_refresh=False)
    manager.bootstrap()
    revision = 1

    with pytest.raises(TransportError, match="e:1 is older than e:2"):
        manager.refresh()
    assert keys_of(manager) == {"a", "b"}


@pytest.mark.covers("G2", "F57", "F69", "I2")
def test_flags_from_disk_are_not_replaced_by_those_of_a_server_that_is_behind(
    raw_server: StartRaw, manager_of: ManagerOf
) -> None:
    revision = 2

    def answer(_request: Request, connection: Connection) -> None:
        connection.answer(document(revision, *("a", "b")[:revision]))

    url = raw_server(answer).url
    first = manager_of(url, auto_refresh=False)
    first.bootstrap()
    first.close()
    revision = 1
    second = manager_of(url, auto_refresh=False)
    second.bootstrap()

    assert keys_of(second) == {"a", "b"}
    assert second.status.cursor == "e:2"


@pytest.mark.covers("G2", "F45", "I1", "I4")
def test_a_restored_database_is_another_log_and_replaces_everything(
    start_server: Callable[..., LiveServer], new_database: Callable[[], str], manager_of: ManagerOf
) -> None:
    """The new log's revision is lower, which within one log would be refused."""
    first = start_server()
    with Rest(first) as rest:
        for key in ("a", "b", "c"):
            rest.flag(key)
    manager, changes = manager_of(first.url), list[FlagChange]()
    manager.bootstrap()
    manager.enable_realtime_updates()
    manager.on_change(changes.append)
    first.stop()
    second = start_server(port=first.port, database_url=new_database())
    with Rest(second) as rest:
        rest.flag("a")

    until(lambda: keys_of(manager) == {"a"})
    until(manager.is_realtime_enabled)

    assert manager.status.cursor == str(second.services.hub.cursor)
    until(lambda: {change.flag_key for change in changes} == {"a", "b", "c"})
