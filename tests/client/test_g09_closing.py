"""Closing in every state, by everybody who can: within two seconds, and nothing is left or happens afterwards."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest
from child import exit_code, in_child
from raw_server import Connection, Request
from rest import Rest
from sdk_parts import CONNECTED, ManagerOf, StartRaw, document
from waiting import seconds, until

from flagent import FlagChange, OfflineManager, State

_LIMIT = 2.0

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def half_a_snapshot(_request: Request, connection: Connection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    connection.hang()


def half_an_event(request: Request, connection: Connection) -> None:
    if request.is_export:
        connection.answer(document(1, "new_feature"))
        return
    connection.begin_stream(("connected", {**CONNECTED, "revision": "e:1"}))
    connection.send(b"event: flag.updated\ndata: {")
    connection.hang()


def no_head(_request: Request, connection: Connection) -> None:
    connection.hang()


class States:
    """Brings a manager into a state."""

    def __init__(self, rest: Rest, raw_server: StartRaw, manager_of: ManagerOf) -> None:
        self._rest = rest
        self._raw_server = raw_server
        self._manager_of = manager_of

    def unused(self) -> OfflineManager:
        return self._manager_of(self._rest.server.url)

    def live(self) -> OfflineManager:
        manager = self.unused()
        manager.bootstrap()
        manager.enable_realtime_updates()
        return manager

    def waiting_for_the_head(self) -> OfflineManager:
        return self._following(no_head)

    def in_a_snapshot(self) -> OfflineManager:
        return self._following(half_a_snapshot)

    def in_an_event(self) -> OfflineManager:
        manager = self._following(half_an_event)
        until(manager.is_realtime_enabled)
        return manager

    def waiting_to_reconnect(self) -> OfflineManager:
        manager = self._manager_of("http://127.0.0.1:9", reconnect_delay=60.0, max_reconnect_delay=60.0)
        manager.enable_realtime_updates(timeout=0)
        until(lambda: manager.status.last_error is not None)
        return manager

    def notifying(self) -> OfflineManager:
        manager, called = self.live(), threading.Event()

        def blocking(_change: FlagChange) -> None:
            called.set()
            threading.Event().wait(5)

        manager.on_change(blocking)
        self._rest.put("/flags/1/enabled", {"enabled": False})
        assert called.wait(5)
        return manager

    def closed(self) -> OfflineManager:
        manager = self.live()
        manager.close()
        return manager

    def _following(self, answer: Callable[[Request, Connection], None]) -> OfflineManager:
        server = self._raw_server(answer)
        manager = self._manager_of(server.url)
        manager.enable_realtime_updates(timeout=0)
        until(lambda: server.connections)
        return manager


def by_the_main_thread(manager: OfflineManager) -> None:
    manager.close()


def by_another_thread(manager: OfflineManager) -> None:
    thread = threading.Thread(target=manager.close)
    thread.start()
    thread.join()


def by_a_signal_handler(manager: OfflineManager) -> None:
    previous = signal.signal(signal.SIGUSR1, lambda *_: manager.close())
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, previous)


def by_a_child_first(manager: OfflineManager) -> None:
    child = in_child(manager.close)
    assert exit_code(child) == 0
    manager.close()


STATES = [
    States.unused,
    States.live,
    States.waiting_for_the_head,
    States.in_a_snapshot,
    States.in_an_event,
    States.waiting_to_reconnect,
    States.notifying,
    States.closed,
]
CLOSERS = [by_the_main_thread, by_another_thread, by_a_signal_handler, by_a_child_first]


@pytest.mark.covers("F78", "G9", "I7", "I8")
@pytest.mark.parametrize("close", CLOSERS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("state", STATES, ids=lambda each: each.__name__)
def test_closing_is_bounded_and_final(
    rest: Rest,
    raw_server: StartRaw,
    manager_of: ManagerOf,
    state: Callable[[States], OfflineManager],
    close: Callable[[OfflineManager], None],
) -> None:
    manager = state(States(rest, raw_server, manager_of))

    assert seconds(lambda: close(manager)) < _LIMIT

    assert manager.status.state is State.CLOSED
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("flagent manager")]
    assert left == []
    assert not manager.is_realtime_enabled()
    until(lambda: len(rest.server.services.broadcaster) == 0)
