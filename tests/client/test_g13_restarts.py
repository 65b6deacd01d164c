"""G13: a server that was restarted costs its clients nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from live import LiveServer, free_port
from rest import Rest
from sdk_parts import ManagerOf, Recording
from server_process import process
from waiting import until

from flagent import FlagentClient


@pytest.mark.covers("G13", "I1")
def test_stream_comes_back_after_a_server_restart_without_a_download(
    start_server: Callable[..., LiveServer], manager_of: ManagerOf
) -> None:
    """G13: the log survives, and the stream goes on from the cursor."""
    paths: list[str] = []

    async def remember(request: httpx2.Request) -> None:
        paths.append(request.url.path)

    first = start_server()
    with Rest(first) as rest:
        rest.flag("new_feature", template="simple_boolean_flag")
    client = FlagentClient(first.url, http_client=lambda: httpx2.AsyncClient(event_hooks={"request": [remember]}))
    manager = manager_of(client, auto_refresh=False)
    manager.bootstrap()
    manager.enable_realtime_updates()

    first.stop()
    until(lambda: not manager.is_realtime_enabled())
    assert manager.is_ready()
    with Rest(start_server(port=first.port)) as rest:
        rest.put("/flags/1/enabled", {"enabled": True})
        until(lambda: manager.is_enabled("new_feature", "user123"))

    until(manager.is_realtime_enabled)
    assert paths.count("/api/v1/export/eval_cache/json") == 1
    assert manager.status.divergences == 0


_CLIENTS = 30


@pytest.mark.covers("G13", "G3", "F53", "I1", "I9")
def test_clients_of_a_server_that_was_killed_all_resume_and_the_server_counts_it(
    tmp_path: Path, manager_of: ManagerOf
) -> None:
    port, recording = free_port(), Recording()
    with ExitStack() as stack:
        first, url = stack.enter_context(process(tmp_path / "flagent.db", port))
        http = stack.enter_context(httpx2.Client(base_url=f"{url}/api/v1", trust_env=False))
        http.post("/flags", json={"key": "a", "description": ""}).raise_for_status()
        managers = [manager_of(FlagentClient(url, http_client=recording), auto_refresh=False) for _ in range(_CLIENTS)]
        for manager in managers:
            manager.bootstrap()
            manager.enable_realtime_updates()
        downloads = recording.downloads
        first.kill()
        first.wait()
        until(lambda: not any(manager.is_realtime_enabled() for manager in managers))
        stack.enter_context(process(tmp_path / "flagent.db", port))

        until(lambda: all(manager.is_realtime_enabled() for manager in managers))

        metrics = http.get(f"{url}/metrics").text
    assert recording.downloads == downloads == _CLIENTS
    assert f'flagent_streams_opened_total{{resume="current"}} {_CLIENTS}.0' in metrics


@pytest.mark.covers("F91", "G2", "G13", "I1", "I2")
def test_servers_that_replace_each_other_on_one_database_take_clients_over_without_a_download(
    tmp_path: Path, manager_of: ManagerOf
) -> None:
    """There and back, as a deployment does that is rolled back: each drains while the next one serves already."""
    port, recording, seen = free_port(), Recording(), list[int]()
    manager = None
    for round_ in range(3):
        with process(tmp_path / "flagent.db", port, drain_window=0.2) as (server, url):
            with httpx2.Client(base_url=f"{url}/api/v1", trust_env=False) as http:
                http.post("/flags", json={"key": f"k{round_}", "description": ""}).raise_for_status()
            if manager is None:
                manager = manager_of(FlagentClient(url, http_client=recording), auto_refresh=False)
                manager.bootstrap()
                manager.enable_realtime_updates()
            until(manager.is_realtime_enabled)
            until(lambda: f"k{round_}" in manager.evaluate_all("u"))  # noqa: B023 - called at once
            seen.append(int((manager.status.cursor or "").rpartition(":")[2]))
            server.terminate()
            assert server.wait(10) == 0
            assert f"k{round_}" in manager.evaluate_all("u")

    assert seen == sorted(seen)
    assert recording.downloads == 1
    assert manager is not None and manager.status.divergences == 0
