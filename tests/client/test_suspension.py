"""Processes that are stopped and go on later: nobody takes old flags for fresh ones, and they are fresh soon."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from live import LiveServer
from program import Running
from sdk_parts import ManagerOf
from server_process import process
from waiting import until

from flagent import State

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes can't be stopped here")

#: A stream is dead after two and a half of these.
_HEARTBEAT = 0.1
#: How long a client is stopped: much longer than that.
_STOPPED = 0.8

#: Says once that it is live, and whenever it has not run for a while, what it knew at the first moment afterwards.
_PROGRAM = """
import sys, time
import flagent

config = flagent.OfflineConfig(auto_refresh=False, reconnect_delay=0.02, max_reconnect_delay=0.1)
manager = flagent.OfflineManager(sys.argv[1], config)
manager.bootstrap()
manager.enable_realtime_updates()
last = time.monotonic()
print("live", flush=True)
while True:
    before, last = last, time.monotonic()
    staleness, enabled = manager.status.staleness, manager.is_enabled("new_feature", "u")
    if last - before > 0.5:
        print("woke", last - before, staleness, int(enabled), flush=True)
        while not (manager.is_realtime_enabled() and not manager.is_enabled("new_feature", "u")):
            time.sleep(0.001)
        print("fresh", time.monotonic() - last, manager.status.divergences, flush=True)
    time.sleep(0.001)
"""


@pytest.mark.covers("F12", "F84", "G5", "I1", "I5")
def test_a_client_that_was_stopped_does_not_take_what_it_has_for_fresh(start_server: Callable[..., LiveServer]) -> None:
    server = start_server(heartbeat=_HEARTBEAT)
    server.create_flag("new_feature", enabled=True)
    with Running(server.url, program=[sys.executable, "-c", _PROGRAM]) as program:
        program.until("live")
        pid = program.process.pid
        program.process.send_signal(signal.SIGSTOP)
        until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        stopped_at = time.monotonic()
        server.switch(1, False)
        until(lambda: time.monotonic() - stopped_at > _STOPPED)

        program.process.send_signal(signal.SIGCONT)

        gap, staleness, enabled = map(float, program.until("woke").split()[1:])
        # Either nothing was heard yet, and it says so, or it is up to date.
        assert staleness > gap - _HEARTBEAT - 0.2 or not enabled
        took, divergences = map(float, program.until("fresh").split()[1:])
        # Long before a stream that is silent would be missed by default.
        assert (took < 10.0, divergences) == (True, 0)


@pytest.mark.covers("F64", "F84", "G5", "G10", "I5", "I6")
def test_a_server_that_was_stopped_is_missed_and_followed_again(tmp_path: Path, manager_of: ManagerOf) -> None:
    with (
        process(tmp_path / "flagent.db", heartbeat=_HEARTBEAT) as (server, url),
        httpx2.Client(base_url=f"{url}/api/v1", trust_env=False) as http,
    ):
        http.post("/flags", json={"key": "a", "description": "", "template": "simple_boolean_flag"})
        http.put("/flags/1/enabled", json={"enabled": True})
        manager = manager_of(url, auto_refresh=False)
        manager.bootstrap()
        manager.enable_realtime_updates()

        server.send_signal(signal.SIGSTOP)
        until(lambda: manager.status.state is not State.LIVE)

        staleness = manager.status.staleness
        assert staleness is not None and staleness >= 2.5 * _HEARTBEAT
        assert manager.is_enabled("a", "u")
        server.send_signal(signal.SIGCONT)
        http.put("/flags/1/enabled", json={"enabled": False})
        until(lambda: manager.is_realtime_enabled() and not manager.is_enabled("a", "u"))
        assert manager.status.divergences == 0


class Machine:
    """Two clocks, of which one goes on while the machine sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slept = 0.0
        monkeypatch.setattr("flagent.client.suspension.LOOK", 0.01)
        real = time.clock_gettime
        monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + self.slept)


@pytest.mark.covers("F12", "F88", "G5", "I5")
@pytest.mark.skipif(sys.platform != "linux", reason="another clock counts sleep here")
def test_what_was_fresh_before_the_machine_slept_is_old_when_it_wakes(
    start_server: Callable[..., LiveServer], manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch)
    server = start_server()
    server.create_flag("a", enabled=True)
    manager = manager_of(server.url, auto_refresh=False, reconnect_delay=2.0)
    manager.bootstrap()
    manager.enable_realtime_updates()
    (before,) = server.services.broadcaster.streams

    machine.slept = 3600.0

    status = manager.status
    assert status.staleness is not None and status.staleness >= 3600
    # Nobody has looked yet, and it does not claim to be live, nor a bound that does not hold.
    assert (status.state, status.staleness_bound) == (State.STALE, None)
    assert manager.is_snapshot_expired()
    # Long before the stream would be taken for dead, there is another one.
    until(lambda: manager.is_realtime_enabled() and (manager.status.staleness or 0.0) < 60)
    assert before not in server.services.broadcaster.streams
    server.switch(1, False)
    until(lambda: not manager.is_enabled("a", "u"))


@pytest.mark.covers("F88")
@pytest.mark.skipif(sys.platform != "linux", reason="another clock counts sleep here")
def test_a_manager_that_polls_asks_when_the_machine_wakes(
    start_server: Callable[..., LiveServer], manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch)
    server = start_server()
    server.create_flag("a", enabled=True)
    manager = manager_of(server.url, refresh_interval=3600.0)
    manager.bootstrap()
    server.switch(1, False)

    machine.slept = 60.0

    until(lambda: not manager.is_enabled("a", "u"))
