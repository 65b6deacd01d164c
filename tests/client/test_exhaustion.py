"""A program that has no descriptor or no thread left: flags are evaluated all the same, and fresh once it has one."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from live import LiveServer
from program import Running
from rest import Rest
from sdk_parts import ManagerOf
from waiting import until

from flagent import FlagChange, TransportError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of processes here")

_TESTS = Path(__file__).parent.parent
#: Reads commands and answers each with a line. `exhaust` takes all descriptors that there are, `starve` allows none
#: beside those that are open, also when some of these are closed, and `relax` allows many again.
_PROGRAM = """
import os, resource, sys
import flagent
from child import exit_code, in_child
from waiting import until

config = flagent.OfflineConfig(auto_refresh=False, reconnect_delay=0.02, max_reconnect_delay=0.1)
manager = flagent.OfflineManager(sys.argv[1], config)
limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)

def exhaust():
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, most))
    try:
        while True:
            os.dup(0)
    except OSError as exc:
        return exc.strerror

def starve():
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))

def relax():
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))

def start():
    try:
        manager.bootstrap()
        manager.enable_realtime_updates()
    except flagent.FlagentError as exc:
        return type(exc).__name__
    return manager.status.state

def error():
    until(lambda: manager.status.attempt > 3)
    return manager.status.last_error.kind, manager.is_enabled("new_feature", "u")

def fresh():
    until(lambda: manager.is_realtime_enabled() and not manager.is_enabled("new_feature", "u"))
    return True

def fork():
    def work():
        assert manager.is_enabled("new_feature", "u") and manager.is_enabled("new_feature", "u")
        relax()
        until(manager.is_realtime_enabled)
        assert manager.is_enabled("new_feature", "u")
        manager.close()

    return exit_code(in_child(work))

for line in sys.stdin:
    print("=", globals()[line.strip()](), flush=True)
"""


class Program(Running):
    """The program above, which follows a server."""

    def __init__(self, url: str) -> None:
        super().__init__(url, program=[sys.executable, "-c", _PROGRAM], environ={"PYTHONPATH": str(_TESTS)})

    def do(self, command: str) -> str:
        """Return what a command gives."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.until("= ").removeprefix("= ")


@pytest.mark.covers("G10", "F20", "I6")
def test_descriptors_that_run_out_cost_the_connection_and_no_more(rest: Rest) -> None:
    with Program(rest.server.url) as program:
        assert program.do("start") == "live"
        program.do("starve")
        for stream in rest.server.services.broadcaster.streams:
            rest.server.call(stream.abort)

        assert program.do("error") == "('network', True)"
        rest.put("/flags/1/enabled", {"enabled": False})
        program.do("relax")

        assert program.do("fresh") == "True"


@pytest.mark.covers("F20")
def test_a_start_without_descriptors_is_an_error_of_ours_and_works_later(rest: Rest) -> None:
    with Program(rest.server.url) as program:
        program.do("starve")
        assert program.do("start") == "TransportError"
        program.do("relax")

        assert program.do("start") == "live"


@pytest.mark.covers("G8", "F20", "F75")
def test_a_child_that_is_forked_when_there_are_no_descriptors_left_is_fresh_once_there_are(rest: Rest) -> None:
    with Program(rest.server.url) as program:
        assert program.do("start") == "live"
        assert program.do("exhaust") == "Too many open files"

        assert program.do("fork") == "0"
        rest.put("/flags/1/enabled", {"enabled": False})
        assert program.do("fresh") == "True"


@pytest.mark.covers("F80", "G10")
def test_listeners_are_called_once_there_is_a_thread_for_them(
    rest: Rest, live_server: LiveServer, manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = manager_of(live_server.url, auto_refresh=False)
    manager.bootstrap()
    manager.enable_realtime_updates()
    seen: list[FlagChange] = []
    manager.on_change(seen.append)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_thread)
        live_server.switch(1, False)
        until(lambda: not manager.is_enabled("new_feature", "u"))
    assert (seen, manager.is_realtime_enabled()) == ([], True)
    rest.flag("later")

    until(lambda: {change.flag_key for change in seen} == {"new_feature", "later"})


@pytest.mark.covers("F20")
def test_a_manager_that_gets_no_thread_can_be_started_later(
    rest: Rest, live_server: LiveServer, manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = manager_of(live_server.url)
    with monkeypatch.context() as patch, pytest.raises(TransportError, match="can't start new thread"):
        patch.setattr(threading.Thread, "start", _no_thread)
        manager.bootstrap()

    manager.bootstrap()

    assert manager.is_ready()


def _no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
