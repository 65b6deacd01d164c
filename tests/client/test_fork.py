"""Forked processes: the child evaluates at once and becomes fresh by itself, the parent notices nothing (G8, F75)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest
from child import exit_code, in_child
from rest import Rest
from waiting import until

from flagent import FlagentClient, OfflineManager, Reason, SSEClient

ManagerOf = Callable[..., OfflineManager]

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    # Python 3.12 and newer warn of forks in programs with threads, which is what is tested here.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def live(manager: OfflineManager) -> OfflineManager:
    manager.bootstrap()
    manager.enable_realtime_updates()
    return manager


@pytest.mark.covers("G8", "F75")
def test_child_evaluates_at_once_and_then_follows_by_itself(rest: Rest, manager_of: ManagerOf) -> None:
    manager = live(manager_of(rest.server.url, auto_refresh=False))
    streams = rest.server.services.broadcaster
    until(lambda: len(streams) == 1)

    def work() -> None:
        assert threading.active_count() == 1
        assert manager.evaluate("new_feature", "user123").reason is Reason.MATCH
        assert threading.active_count() > 1
        until(manager.is_realtime_enabled)
        until(lambda: not manager.is_enabled("new_feature", "user123"))
        manager.close()

    child = in_child(work)
    until(lambda: len(streams) == 2)
    rest.put("/flags/1/enabled", {"enabled": False})

    assert exit_code(child) == 0
    until(lambda: len(streams) == 1)
    until(lambda: not manager.is_enabled("new_feature", "user123"))
    assert manager.is_realtime_enabled()


def test_child_that_does_not_use_its_manager_does_nothing(rest: Rest, manager_of: ManagerOf) -> None:
    live(manager_of(rest.server.url))
    until(lambda: len(rest.server.services.broadcaster) == 1)

    def work() -> None:
        assert threading.active_count() == 1

    assert exit_code(in_child(work)) == 0
    assert len(rest.server.services.broadcaster) == 1


@pytest.mark.covers("G8", "G9", "F75", "F78")
def test_parent_is_not_disturbed_by_a_child_that_closes(rest: Rest, manager_of: ManagerOf) -> None:
    manager = live(manager_of(rest.server.url, auto_refresh=False))

    assert exit_code(in_child(manager.close)) == 0

    rest.put("/flags/1/enabled", {"enabled": False})
    until(lambda: not manager.is_enabled("new_feature", "user123"))
    assert manager.is_realtime_enabled()


@pytest.mark.covers("G8", "F75")
def test_connection_of_the_parent_ends_although_a_child_lives_on(rest: Rest, manager_of: ManagerOf) -> None:
    """The child has a copy of the parent's socket, and must not hold it open."""
    manager = live(manager_of(rest.server.url))
    streams = rest.server.services.broadcaster
    until(lambda: len(streams) == 1)
    stop_reading, stop_writing = os.pipe()

    def work() -> None:
        os.close(stop_writing)
        os.read(stop_reading, 1)

    child = in_child(work)

    manager.close()

    until(lambda: len(streams) == 0)
    os.close(stop_writing)
    assert exit_code(child) == 0
    os.close(stop_reading)


@pytest.mark.covers("G8", "F75")
def test_child_of_a_manager_that_polls_goes_on_polling(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, refresh_interval=0.05)
    manager.bootstrap()
    forked_at = time.time()

    def work() -> None:
        assert manager.is_enabled("new_feature", "user123") or time.time() - forked_at > 0.05
        until(lambda: not manager.is_enabled("new_feature", "user123"))

    child = in_child(work)
    rest.put("/flags/1/enabled", {"enabled": False})

    assert exit_code(child) == 0


@pytest.mark.covers("G8", "F75")
def test_child_of_a_child_works_too(rest: Rest, manager_of: ManagerOf) -> None:
    manager = live(manager_of(rest.server.url))

    def grandchild() -> None:
        assert manager.is_enabled("new_feature", "user123")
        until(manager.is_realtime_enabled)
        manager.close()

    def work() -> None:
        assert manager.is_enabled("new_feature", "user123")
        assert exit_code(in_child(grandchild)) == 0
        manager.close()

    assert exit_code(in_child(work)) == 0


@pytest.mark.covers("G8", "F75")
def test_child_forked_while_a_thread_is_connecting_works(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url)
    starting = threading.Thread(target=live, args=(manager,))
    starting.start()

    def work() -> None:
        manager.bootstrap(timeout=5)
        manager.enable_realtime_updates(timeout=5)
        assert manager.is_enabled("new_feature", "user123")
        manager.close()

    child = in_child(work)

    assert exit_code(child) == 0
    starting.join()
    assert manager.is_realtime_enabled()


@pytest.mark.covers("G8", "F75")
def test_child_may_use_the_clients_that_its_parent_used(rest: Rest) -> None:
    with FlagentClient(rest.server.url) as client, SSEClient(rest.server.url) as stream:
        client.health()
        stream.connect()

        def work() -> None:
            assert client.health() == "OK"
            stream.connect()
            client.set_flag_enabled(1, enabled=False)
            assert next(stream.events()).flag_key == "new_feature"
            client.close()
            stream.disconnect()

        assert exit_code(in_child(work)) == 0
        assert client.health() == "OK"
        assert next(stream.events()).flag_key == "new_feature"


@pytest.mark.covers("G8", "F75")
def test_many_forks_while_flags_change(rest: Rest, manager_of: ManagerOf) -> None:
    manager = live(manager_of(rest.server.url))
    stop = threading.Event()

    def edit() -> None:
        enabled = False
        while not stop.is_set():
            rest.put("/flags/1/enabled", {"enabled": enabled})
            enabled = not enabled

    def work() -> None:
        assert manager.evaluate("new_feature", "user123").reason in (Reason.MATCH, Reason.FLAG_DISABLED)

    editor = threading.Thread(target=edit)
    editor.start()
    codes = [exit_code(in_child(work)) for _ in range(20)]
    stop.set()
    editor.join()

    assert codes == [0] * 20
    assert manager.is_realtime_enabled()
