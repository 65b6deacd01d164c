"""Closing: bounded, from anywhere, in any state, and nothing happens afterwards (G9, F78)."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable

import httpx2
import pytest
from raw_server import Connection, RawServer, Request
from rest import Rest
from waiting import seconds, until

from flagent import Closed, FlagentClient, FlagentError, OfflineConfig, OfflineManager, SSEClient, State

ManagerOf = Callable[..., OfflineManager]
Start = Callable[[Callable[[Request, Connection], None]], RawServer]
LIMIT = 2.0


def threads_of_flagent() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("flagent ")]


@pytest.mark.covers("G9", "F78", "I8")
def test_manager_that_did_nothing_closes(manager_of: ManagerOf) -> None:
    manager = manager_of("http://127.0.0.1:9")

    assert seconds(manager.close) < 1.0

    assert manager.status.state is State.CLOSED


@pytest.mark.covers("G9", "F78", "I8")
def test_live_manager_closes_and_leaves_no_thread(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url)
    manager.bootstrap()
    manager.enable_realtime_updates()

    assert seconds(manager.close) < LIMIT
    assert seconds(manager.close) < 1.0

    assert threads_of_flagent() == []
    assert not manager.is_realtime_enabled()


@pytest.mark.covers("G9", "F78", "I8")
def test_manager_closes_while_it_waits_to_reconnect(manager_of: ManagerOf) -> None:
    manager = manager_of("http://127.0.0.1:9", reconnect_delay=60.0, max_reconnect_delay=60.0)
    manager.enable_realtime_updates(timeout=0)
    until(lambda: manager.status.last_error is not None)

    assert seconds(manager.close) < LIMIT
    assert threads_of_flagent() == []


@pytest.mark.covers("G9", "F78", "I8")
def test_manager_closes_while_the_server_hangs_and_others_wait(raw_server: Start, manager_of: ManagerOf) -> None:
    server = raw_server(lambda _, connection: connection.hang())
    manager = manager_of(server.url)
    outcomes: list[FlagentError] = []

    def wait(action: Callable[[], None]) -> None:
        try:
            action()
        except FlagentError as exc:
            outcomes.append(exc)

    actions = [manager.bootstrap, manager.refresh, manager.enable_realtime_updates]
    waiting = [threading.Thread(target=wait, args=(action,)) for action in actions]
    for thread in waiting:
        thread.start()
    until(lambda: server.connections >= 2)

    assert seconds(manager.close) < LIMIT

    for thread in waiting:
        thread.join(LIMIT)
    assert [type(outcome) for outcome in outcomes] == [Closed] * 3
    assert threads_of_flagent() == []


@pytest.mark.covers("G9", "F78", "I8")
def test_manager_closes_in_the_middle_of_a_snapshot(raw_server: Start, manager_of: ManagerOf) -> None:
    def answer(_request: Request, connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
        connection.hang()

    server = raw_server(answer)
    manager = manager_of(server.url)
    manager.enable_realtime_updates(timeout=0)
    until(lambda: server.connections)

    assert seconds(manager.close) < LIMIT


@pytest.mark.covers("G9", "F78", "I8")
def test_no_connection_is_made_after_close(raw_server: Start, manager_of: ManagerOf) -> None:
    server = raw_server(lambda _, connection: connection.answer({"message": "later"}, 503))
    manager = manager_of(server.url, refresh_interval=0.01)
    manager.enable_realtime_updates(timeout=0)
    until(lambda: server.connections > 5)

    manager.close()
    connections = server.connections

    with pytest.raises(Closed):
        manager.refresh()
    assert threads_of_flagent() == []
    assert server.connections == connections


@pytest.mark.covers("G9", "F78", "I8")
def test_many_threads_close_at_once(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url)
    manager.bootstrap()
    manager.enable_realtime_updates()
    closers = [threading.Thread(target=manager.close) for _ in range(8)]

    for thread in closers:
        thread.start()
    for thread in closers:
        thread.join(LIMIT)

    assert not any(thread.is_alive() for thread in closers)
    assert threads_of_flagent() == []


@pytest.mark.covers("G9", "F78", "I8")
def test_close_on_the_loops_own_thread_does_not_wait_for_itself(rest: Rest, manager_of: ManagerOf) -> None:
    managers: list[OfflineManager] = []
    took: list[float] = []

    async def close_first(_request: httpx2.Request) -> None:
        took.append(seconds(managers[0].close))

    client = FlagentClient(
        rest.server.url, http_client=lambda: httpx2.AsyncClient(event_hooks={"request": [close_first]})
    )
    managers.append(manager_of(client))

    with pytest.raises(Closed):
        managers[0].bootstrap()

    assert took[0] < 1.0
    until(lambda: threads_of_flagent() == [])


@pytest.mark.covers("G9", "F78", "I8")
def test_close_in_a_signal_handler_while_the_main_thread_waits(raw_server: Start, manager_of: ManagerOf) -> None:
    manager = manager_of(raw_server(lambda _, connection: connection.hang()).url)
    previous = signal.signal(signal.SIGALRM, lambda *_: manager.close())

    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Closed):
            manager.bootstrap()
    finally:
        signal.signal(signal.SIGALRM, previous)

    # What reads certificates meanwhile ends by itself.
    until(lambda: threads_of_flagent() == [])


@pytest.mark.covers("G9", "F78", "I8")
def test_close_in_a_signal_handler_while_the_thread_is_being_started(
    raw_server: Start, manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = manager_of(raw_server(lambda _, connection: connection.hang()).url)
    # As a handler would do it, at the one moment in which there is no thread yet and nobody looks any more.
    monkeypatch.setattr("flagent.client.loop_thread.load", lambda _modules: manager.close())

    with pytest.raises(Closed):
        manager.bootstrap()

    until(lambda: threads_of_flagent() == [])


def test_forgotten_manager_is_warned_about_and_ends(rest: Rest) -> None:
    manager: OfflineManager | None = OfflineManager(rest.server.url, OfflineConfig())
    assert manager is not None
    manager.bootstrap()
    manager.enable_realtime_updates()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del manager
        gc.collect()

    assert [str(each.message).endswith("was forgotten without close()") for each in caught] == [True]
    until(lambda: threads_of_flagent() == [])


def test_forgotten_client_and_stream_are_warned_about(rest: Rest) -> None:
    client: FlagentClient | None = FlagentClient(rest.server.url)
    stream: SSEClient | None = SSEClient(rest.server.url)
    assert client is not None
    assert stream is not None
    client.health()
    stream.connect()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del client, stream
        gc.collect()

    assert len(caught) == 2
    until(lambda: threads_of_flagent() == [])


@pytest.mark.covers("F81")
def test_program_that_forgets_to_close_ends_at_once_and_quietly(rest: Rest) -> None:
    """F81."""
    code = f"import flagent; flags = flagent.connect({rest.server.url!r}); print(flags.status.state)"

    started = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    baseline = seconds(
        lambda: subprocess.run([sys.executable, "-c", "import flagent.client.offline, httpx2"], check=True)
    )

    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "live", "")
    assert time.monotonic() - started - 2 * baseline < LIMIT


@pytest.mark.covers("F83", "I7")
def test_fifty_managers_leave_nothing_behind(rest: Rest) -> None:
    """F83, in small."""
    for _ in range(50):
        with OfflineManager(rest.server.url) as manager:
            assert manager.is_ready()

    until(lambda: not any(thread.name.startswith(("flagent ", "asyncio")) for thread in threading.enumerate()))
