"""Faults that nobody foresaw, at every call of the network loop: it goes on, and ends where the server is."""

from __future__ import annotations

import gc
import logging
from pathlib import Path

import pytest
from injection import Injection
from live import LiveServer
from rest import Rest
from sdk_parts import ManagerOf
from waiting import until

from flagent import OfflineManager
from flagent.server.broadcast import Broadcaster

#: What runs on the loop of a manager, without what begins and ends it.
_LOOP = ("/client/", "/wire/", "/core/changes", "/core/evaluation")
_WAITS = ("saving._GATHER", "saving._RETRY", "tasks.FIRST_PAUSE", "tasks.LONGEST_PAUSE", "follow.LONGEST_DELAY")
_NOT_LOOP = ("loop_thread.py", "daemons.py", "forks.py")


def _cut(broadcaster: Broadcaster) -> None:
    for stream in broadcaster.streams:
        stream.abort()


@pytest.mark.covers("G10", "F82", "I1")
@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_memory_that_runs_out_at_any_call_of_the_loop_costs_a_wait_and_no_more(
    rest: Rest,
    live_server: LiveServer,
    manager_of: ManagerOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # What is logged keeps the frames of what failed, and so its connections, beyond the end of the test.
    for name in ("flagent.client", "asyncio"):
        caplog.set_level(logging.CRITICAL, name)
    for name in _WAITS:
        monkeypatch.setattr(f"flagent.client.{name}", 0.01)
    broadcaster, enabled = live_server.services.broadcaster, True
    with Injection("flagent manager", *_LOOP) as injection:
        manager = manager_of(live_server.url, storage_dir=tmp_path, safety_poll_interval=0.02, max_reconnect_delay=0.02)
        manager.on_stale(lambda _: None, after=1000.0)
        manager.bootstrap()
        manager.enable_realtime_updates()

        def shake() -> None:
            """Let everything happen that the loop has to deal with, and come to rest."""
            nonlocal enabled
            enabled = not enabled
            rest.put("/flags/1/enabled", {"enabled": enabled})
            until(lambda: manager.is_enabled("new_feature", "u") is enabled)
            live_server.call(lambda: _cut(broadcaster))
            until(lambda: at_rest(manager, live_server))

        shake()
        shake()
        sites = [site for site in injection.seen if site.file not in _NOT_LOOP]
        loop, raised = manager._thread._loop, 0
        assert loop is not None
        for site in sites:
            injection.target, injection.done = site, False
            shake()
            injection.target = None
            if injection.done:
                raised += 1
                injection.again(loop.call_soon_threadsafe)

    # All but what only happens at the start.
    assert raised > 100
    assert manager.status.divergences == 0
    manager.close()
    # Responses that could not be closed in good order complain when they are collected: that shall be here.
    gc.collect()


def at_rest(manager: OfflineManager, server: LiveServer) -> bool:
    """Return whether the manager is live, where the server is, polls, and has that on disk."""
    upkeep = manager._session.upkeep
    return (
        manager.is_realtime_enabled()
        and manager.status.cursor == str(server.services.hub.cursor)
        and not any(task.done() for task in upkeep.tasks._tasks.values())
        and upkeep.saver is not None
        and upkeep.saver._saved is manager._replica.ruleset
    )
