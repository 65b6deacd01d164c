"""Managers that work only when they are called: no thread, no task and no connection in between."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest
from child import exit_code, in_child
from raw_server import Connection, Request
from rest import Rest
from sdk_parts import ManagerOf, Recording, StartRaw, document
from waiting import until

import flagent
from flagent import AsyncOfflineManager, Closed, ConfigurationError, FlagentClient, FlagentError, OfflineConfig, State

_ON_DEMAND = OfflineConfig(on_demand=True)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_running_between_calls(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, on_demand=True)

    manager.bootstrap()

    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("flagent ")] == []
    assert manager.is_enabled("new_feature", "user123")
    until(lambda: rest.server.services.broadcaster.streams == ())
    assert manager.status.state is State.STALE
    assert manager.status.staleness is not None


def test_flags_are_brought_up_to_date_when_they_are_older_than_allowed(rest: Rest, manager_of: ManagerOf) -> None:
    http = Recording()
    manager = manager_of(FlagentClient(rest.server.url, http_client=http), on_demand=True)
    manager.bootstrap()
    rest.put("/flags/1/enabled", {"enabled": False})

    manager.refresh(max_age=60)
    assert manager.is_enabled("new_feature", "user123")
    assert http.downloads == 1

    manager.refresh()
    assert not manager.is_enabled("new_feature", "user123")
    assert http.downloads == 2


def test_connect_is_ready_without_a_stream(rest: Rest) -> None:
    with flagent.connect(rest.server.url, config=_ON_DEMAND) as manager:
        assert manager.is_enabled("new_feature", "user123")
        assert not manager.is_realtime_enabled()


def test_stream_is_refused_with_the_way_out(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, on_demand=True)

    with pytest.raises(ConfigurationError, match="refresh"):
        manager.enable_realtime_updates()


def test_flags_are_kept_on_disk_for_a_start_without_the_server(rest: Rest, manager_of: ManagerOf) -> None:
    manager_of(rest.server.url, on_demand=True).bootstrap()
    rest.server.stop()

    manager = manager_of(rest.server.url, on_demand=True)
    manager.bootstrap(timeout=1)

    assert manager.is_enabled("new_feature", "user123")


def test_waiting_for_flags_asks_for_them(rest: Rest, manager_of: ManagerOf) -> None:
    assert manager_of(rest.server.url, on_demand=True).wait_until_ready(5)
    assert not manager_of("http://127.0.0.1:9", on_demand=True).wait_until_ready(0.1)


def test_it_may_be_called_where_an_event_loop_runs(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, on_demand=True)

    async def run() -> None:
        manager.bootstrap()

    asyncio.run(run())
    manager.refresh()

    assert manager.is_enabled("new_feature", "user123")


def test_descriptors_are_given_back(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, on_demand=True)
    for _ in range(20):
        manager.refresh()
    before = descriptors()

    for _ in range(20):
        manager.refresh()

    # The server's side of them is in this process, too.
    until(lambda: descriptors() <= before)
    manager.close()
    until(lambda: descriptors() < before)
    with pytest.raises(Closed):
        manager.refresh()


def test_close_from_another_thread_ends_a_call(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    asked = threading.Event()

    def hang(request: Request, connection: Connection) -> None:
        asked.set()
        connection.hang()

    manager = manager_of(raw_server(hang).url, on_demand=True)
    failures: list[BaseException] = []

    def load() -> None:
        try:
            manager.bootstrap(timeout=30)
        except FlagentError as exc:
            failures.append(exc)

    thread = threading.Thread(target=load)
    thread.start()
    assert asked.wait(10)
    manager.close()
    thread.join(10)

    assert not thread.is_alive()
    assert isinstance(failures[0], Closed)


def test_ctrl_c_ends_a_call_and_the_next_one_works(raw_server: StartRaw, manager_of: ManagerOf) -> None:
    hangs = True

    def answer(request: Request, connection: Connection) -> None:
        if not hangs:
            connection.answer(document(1, "new_feature"))
            return
        # To the very thread: the kernel may give a signal of the process to another one.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        connection.hang()

    manager = manager_of(raw_server(answer).url, on_demand=True)

    with pytest.raises(KeyboardInterrupt):
        manager.bootstrap(timeout=30)
    hangs = False
    manager.bootstrap()

    assert manager.is_ready()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_asks_by_itself(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url, on_demand=True)
    manager.bootstrap()
    rest.put("/flags/1/enabled", {"enabled": False})

    def work() -> None:
        assert manager.is_enabled("new_feature", "user123")
        manager.refresh()
        assert not manager.is_enabled("new_feature", "user123")
        manager.close()

    assert exit_code(in_child(work)) == 0
    manager.refresh()
    assert not manager.is_enabled("new_feature", "user123")


def test_asyncio_has_the_same(rest: Rest) -> None:
    async def run() -> None:
        async with AsyncOfflineManager(rest.server.url, _ON_DEMAND) as manager:
            assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
            rest.put("/flags/1/enabled", {"enabled": False})
            await manager.refresh()
            assert not manager.is_enabled("new_feature", "user123")

    asyncio.run(run())
