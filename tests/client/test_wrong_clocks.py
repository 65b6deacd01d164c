"""Clocks of the day that are wrong or jump: what is shown may be wrong, but nothing is late, or taken for fresh."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from live import LiveServer
from rest import Rest
from sdk_parts import ManagerOf
from sse_messages import Subscriber
from waiting import until

from flagent import OfflineConfig, OfflineManager, Source, State

_HOUR, _YEAR = 3600.0, 365.25 * 86400.0
STEPS = [-_HOUR, _HOUR, -10 * _YEAR, 10 * _YEAR, -time.time()]
IDS = ["an hour back", "an hour ahead", "ten years back", "ten years ahead", "1970"]


class Wall:
    """The clock of the day, of this process: set it by `step`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.step = 0.0
        real, real_ns = time.time, time.time_ns
        monkeypatch.setattr(time, "time", lambda: real() + self.step)
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(self.step * 1e9))


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    return Wall(monkeypatch)


@pytest.mark.covers("F67", "F86", "G5", "I1", "I5")
@pytest.mark.parametrize("step", STEPS, ids=IDS)
def test_a_clock_that_jumps_disturbs_no_stream_and_no_reconnection(
    start_server: Callable[..., LiveServer], manager_of: ManagerOf, wall: Wall, step: float, tmp_path: Path
) -> None:
    server = start_server(heartbeat=0.1)
    server.create_flag("a", enabled=True)
    manager = manager_of(server.url, storage_dir=tmp_path / "kept", auto_refresh=False)
    manager.bootstrap()
    manager.enable_realtime_updates()
    with Subscriber(server.port) as stream:
        stream.next("connected")
        wall.step = step

        # More heartbeats than it takes to call a stream dead.
        for _ in range(4):
            stream.next("heartbeat")
        status = manager.status
        server.switch(1, False)
        until(lambda: not manager.is_enabled("a", "u"))
        for open_stream in server.services.broadcaster.streams:
            server.call(open_stream.abort)
        server.switch(1, True)
        until(lambda: manager.is_realtime_enabled() and manager.is_enabled("a", "u"))

    assert status.state is State.LIVE
    assert status.staleness is not None and status.staleness_bound is not None
    assert 0.0 <= status.staleness <= status.staleness_bound
    assert 0.0 <= manager.status.since < 60.0
    assert manager.status.divergences == 0
    # The order of the log is that of its revisions, whatever the times say.
    with Rest(server) as rest:
        snapshots = [each["id"] for each in rest.get("/flags/1/snapshots")]
        assert snapshots == sorted(snapshots, reverse=True)


@pytest.mark.covers("F72", "F86", "I5")
@pytest.mark.parametrize("step", [_HOUR, 10 * _YEAR], ids=["an hour", "ten years"])
def test_flags_that_were_kept_when_the_clock_was_ahead_are_of_an_unknown_age(
    rest: Rest, live_server: LiveServer, tmp_path: Path, manager_of: ManagerOf, wall: Wall, step: float
) -> None:
    wall.step = step
    with OfflineManager(live_server.url, OfflineConfig(storage_dir=tmp_path)):
        pass
    live_server.stop()
    wall.step = 0.0
    manager = manager_of(live_server.url, storage_dir=tmp_path)
    stale: list[object] = []
    manager.on_stale(stale.append, after=3600.0)

    manager.bootstrap()

    assert manager.is_enabled("new_feature", "u")
    assert (manager.status.source, manager.status.staleness) == (Source.DISK, math.inf)
    assert manager.is_snapshot_expired()
    until(lambda: stale)


@pytest.mark.covers("F72", "F86")
def test_flags_that_were_kept_long_ago_say_so(
    rest: Rest, live_server: LiveServer, tmp_path: Path, manager_of: ManagerOf, wall: Wall
) -> None:
    with OfflineManager(live_server.url, OfflineConfig(storage_dir=tmp_path)):
        pass
    live_server.stop()
    wall.step = _YEAR
    manager = manager_of(live_server.url, storage_dir=tmp_path)

    manager.bootstrap()

    staleness = manager.status.staleness
    assert staleness is not None and _YEAR <= staleness < _YEAR + 60
    assert manager.is_snapshot_expired()
