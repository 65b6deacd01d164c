"""What a stream may say that is wrong, newer than this client, or a great deal."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import stream_bytes
from change_log import EPOCH, Log, flag
from fault_proxy import FaultProxy
from faults_parts import ManagerOf, Switch, kind_of, stream
from raw_server import Connection, RawServer, Request
from waiting import until

from flagent import FlagChange, State
from flagent.wire.codec import View, encode_snapshot

StartRaw = Callable[[Callable[[Request, Connection], None]], RawServer]


@pytest.fixture
def raw_server() -> Iterator[StartRaw]:
    """A function that starts a server which answers as the given function says."""
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(RawServer(answer))


@pytest.mark.covers("F32", "F37", "G11", "I4")
def test_what_can_not_be_read_at_every_connect_is_passed_by_a_snapshot(
    raw_server: StartRaw, manager_of: ManagerOf
) -> None:
    log = Log(flag(1, "a"))
    first = encode_snapshot(log.snapshot, View.FULL)
    broken = stream_bytes.change(log.put(flag(1, "a", description="xyz")), EPOCH).replace(b"xyz", b"x\xffz")
    second = encode_snapshot(log.snapshot, View.FULL)
    exports = iter([first, second])

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(next(exports))
            return
        connection.begin_stream()
        behind = request.headers.get("last-event-id") == f"{EPOCH}:0"
        connection.send(stream_bytes.connected(log.snapshot, "changes" if behind else "current"))
        connection.send(broken if behind else b"")
        connection.hang()

    server = raw_server(answer)
    manager = manager_of(server.url)
    manager.bootstrap()
    manager.enable_realtime_updates(timeout=0)

    until(lambda: manager.status.cursor == f"{EPOCH}:1" and manager.is_realtime_enabled())
    assert manager.evaluate("a", "u").flag_key == "a"
    # Three that failed, the one that got the snapshot, and one more if that had the same bytes in it.
    assert sum(request.is_stream for request in server.requests) <= 5
    assert manager.status.divergences == 0


@pytest.mark.covers("F37", "G5", "I5")
@pytest.mark.parametrize("broken", [True, False], ids=["never readable", "never sent"])
def test_stream_is_not_live_while_what_was_missed_is_not_there(
    raw_server: StartRaw, manager_of: ManagerOf, broken: bool
) -> None:
    log = Log(flag(1, "a"))
    first = encode_snapshot(log.snapshot, View.FULL)
    change = stream_bytes.change(log.put(flag(1, "a", description="xyz")), EPOCH).replace(b"xyz", b"x\xffz")
    live: list[bool] = []

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(first)
            return
        live.append(manager.is_realtime_enabled())
        connection.begin_stream()
        connection.send(stream_bytes.connected(log.snapshot, "changes", heartbeat_ms=100))
        # A sign of life, so that the greeting has been dealt with when what follows arrives.
        connection.send(b": hb\n\n")
        connection.send(change if broken else b"")
        connection.hang()

    manager = manager_of(raw_server(answer).url)
    manager.bootstrap()
    before = manager.status.staleness or 0.0
    manager.enable_realtime_updates(timeout=0)

    until(lambda: manager.status.attempt >= 3)

    assert not any(live)
    assert (manager.status.staleness or 0.0) > before + 0.02
    follower = manager._session.upkeep.follower
    assert follower is not None and follower.connections == 0


@pytest.mark.covers("F39")
def test_server_of_a_newer_protocol_is_asked_seldom_and_its_flags_are_kept(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch
) -> None:
    manager = follow()
    proxy.streams(stream(b'event: connected\ndata: {"protocol": 2, "resume": "current"}\n\n'))
    proxy.end()

    until(lambda: kind_of(manager) == "incompatible")
    until(lambda: (manager.status.retry_in or 0) > 25)

    assert "speaks protocol 2, this client 1" in str(manager.status.last_error)
    assert manager.status.state is State.OFFLINE
    assert switch.shows(manager)


@pytest.mark.covers("F49", "F50", "G4", "I1")
@pytest.mark.parametrize("digest", ["0" * 16, None], ids=["another digest", "another revision"])
def test_heartbeat_tells_that_something_got_lost(
    raw_server: StartRaw, manager_of: ManagerOf, digest: str | None
) -> None:
    before = Log(flag(1, "a")).snapshot
    revision = 1 if digest is None else 0
    after = Log(flag(1, "a"), flag(2, "b"), revision=revision).snapshot
    documents = [encode_snapshot(snapshot, View.FULL) for snapshot in (before, after)]
    hello = stream_bytes.connected(before, "current")
    beat = threading.Event()

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(documents.pop(0) if len(documents) > 1 else documents[0])
            return
        connection.begin_stream()
        connection.send(hello)
        beat.wait(8)
        connection.event("heartbeat", {"revision": f"{EPOCH}:{revision}"} | ({"digest": digest} if digest else {}))
        connection.hang()

    manager = manager_of(raw_server(answer).url)
    manager.bootstrap()
    manager.enable_realtime_updates()
    assert set(manager.evaluate_all("u")) == {"a"}

    beat.set()

    until(lambda: set(manager.evaluate_all("u")) == {"a", "b"})
    assert manager.status.divergences == (0 if digest is None else 1)


@pytest.mark.covers("F51", "I1", "I7")
@pytest.mark.timeout(120)
def test_storm_of_renames_is_followed_and_told_in_few_words(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    log = Log(*(flag(number, f"flag-{number}") for number in range(1, 21)))
    first = encode_snapshot(log.snapshot, View.FULL)
    hello = stream_bytes.connected(log.snapshot, "changes")
    storm = [
        stream_bytes.change(log.put(flag(1 + number % 20, f"flag-{number}-renamed")), EPOCH) for number in range(10_000)
    ]
    go = threading.Event()

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(first)
            return
        connection.begin_stream()
        connection.send(hello)
        go.wait(30)
        connection.send(b"".join(storm))
        connection.hang()

    told: Counter[str] = Counter()
    let_on = threading.Event()

    def slowly(change: FlagChange) -> None:
        let_on.wait(30)
        told[change.flag_key] += 1

    manager = manager_of(raw_server(answer).url)
    manager.on_change(slowly)
    manager.bootstrap()
    manager.enable_realtime_updates()

    go.set()

    until(lambda: manager.status.cursor == f"{EPOCH}:10000", limit=80)
    let_on.set()
    names = set(log.snapshot.flags)
    until(lambda: names <= set(told))
    assert set(manager.evaluate_all("u")) == names
    # At most what the listener was told first, and then the net change: 20 flags under other names.
    assert sum(told.values()) < 100
    assert manager.status.divergences == 0
