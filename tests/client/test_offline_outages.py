"""The manager when its server is away, comes back, or is another one: what is held stays, and it finds its way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from live import LiveServer, free_port
from raw_server import Connection, Request
from rest import Rest
from sdk_parts import ManagerOf, StartRaw, document, keys_of
from waiting import until

import flagent
from flagent import (
    FlagentClient,
    HTTPStatusError,
    State,
    TransportError,
)


@pytest.mark.covers("F45")
def test_server_with_another_log_is_followed_from_its_snapshot(
    start_server: Callable[..., LiveServer], manager_of: ManagerOf, tmp_path: Path
) -> None:
    first = start_server()
    with Rest(first) as rest:
        rest.flag("old")
    manager = manager_of(first.url)
    manager.bootstrap()
    manager.enable_realtime_updates()

    first.stop()
    with Rest(start_server(port=first.port, database_url=f"sqlite:///{tmp_path / 'other.db'}")) as rest:
        rest.flag("new")
        until(lambda: keys_of(manager) == {"new"})


@pytest.mark.covers("G10", "F01")
def test_server_that_is_down_at_first_is_found_when_it_comes(
    start_server: Callable[..., LiveServer], manager_of: ManagerOf
) -> None:
    """F01."""
    port = free_port()
    manager = manager_of(f"http://127.0.0.1:{port}")
    with pytest.raises(TransportError, match="refused") as caught:
        manager.bootstrap()
    assert caught.value.kind == "refused"
    manager.enable_realtime_updates(timeout=0)
    until(lambda: manager.status.state is State.OFFLINE)

    start_server(port=port)

    until(manager.is_realtime_enabled)
    assert (manager.status.state, manager.status.last_error) == (State.LIVE, None)


def test_polling_alone_finds_a_server_that_comes_late(
    start_server: Callable[..., LiveServer], manager_of: ManagerOf
) -> None:
    port = free_port()
    manager = manager_of(f"http://127.0.0.1:{port}")
    with pytest.raises(TransportError):
        manager.bootstrap()

    start_server(port=port)

    until(manager.is_ready)


def test_polling_takes_over_while_the_stream_is_down(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    revision = 1

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(revision, *("a", "b")[:revision]))
        else:
            connection.answer({"message": "no streams today"}, 503)

    manager = manager_of(raw_server(answer).url, fallback_after=0.05, refresh_interval=0.05)
    manager.bootstrap()
    manager.enable_realtime_updates(timeout=0)
    revision = 2

    until(lambda: keys_of(manager) == {"a", "b"})

    until(lambda: isinstance(manager.status.last_error, HTTPStatusError))
    assert manager.status.state is State.POLLING


def test_connect_goes_on_without_the_stream(raw_server: StartRaw) -> None:
    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(1, "a"))
        else:
            connection.answer({"message": "no"}, 403)

    with flagent.connect(raw_server(answer).url) as flags:
        assert keys_of(flags) == {"a"}
        assert not flags.is_realtime_enabled()


def test_connect_without_flags_fails_and_leaves_nothing_behind() -> None:
    with pytest.raises(TransportError, match="refused"):
        flagent.connect("http://127.0.0.1:9")


@pytest.mark.covers("G10", "F82")
def test_fault_of_our_own_does_not_end_the_loop(rest: Rest, manager_of: ManagerOf) -> None:
    """F82, G10: an exception that nobody foresaw becomes a wait."""
    calls: list[str] = []

    async def fail_once(request: httpx2.Request) -> None:
        calls.append(request.url.path)
        if len(calls) == 1:
            raise MemoryError

    client = FlagentClient(
        rest.server.url, http_client=lambda: httpx2.AsyncClient(event_hooks={"request": [fail_once]})
    )
    manager = manager_of(client, auto_refresh=False)

    manager.enable_realtime_updates()

    assert manager.is_enabled("new_feature", "user123")


@pytest.mark.covers("F56", "I4")
def test_server_that_lost_its_database_does_not_take_the_flags_until_somebody_writes_to_it(
    start_server: Callable[..., LiveServer], new_database: Callable[[], str], manager_of: ManagerOf
) -> None:
    first = start_server()
    with Rest(first) as rest:
        rest.flag("a")
    manager = manager_of(first.url, fallback_after=0.0, refresh_interval=0.05)
    manager.bootstrap()
    manager.enable_realtime_updates()
    first.stop()
    empty = start_server(port=first.port, database_url=new_database())

    until(lambda: "nothing was ever written" in str(manager.status.last_error))
    with pytest.raises(TransportError, match="nothing was ever written"):
        manager.refresh()
    assert keys_of(manager) == {"a"}
    assert manager.status.state is not State.LIVE
    with Rest(empty) as rest:
        rest.flag("b")

    until(lambda: keys_of(manager) == {"b"})
    until(manager.is_realtime_enabled)
    assert manager.status.last_error is None


@pytest.mark.covers("F56")
def test_server_without_flags_is_nothing_special_for_who_has_none(
    live_server: LiveServer, manager_of: ManagerOf
) -> None:
    manager = manager_of(live_server.url)
    manager.bootstrap()
    manager.enable_realtime_updates()

    assert manager.is_realtime_enabled()
    assert keys_of(manager) == set()
