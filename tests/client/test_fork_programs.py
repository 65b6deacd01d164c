"""Programs that fork for their work: each process follows the flags by itself, and the parent stays live (G8)."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from forking_program import ForkingProgram, need, until_all
from rest import Rest

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")

#: Seconds that a program takes at most to end.
END = 5.0
APPS = "client.fork_apps"


def switch_and_watch(rest: Rest, program: ForkingProgram, children: int) -> float:
    """Switch the flag off and on, see that all follow, end the program, and return how many seconds that took."""
    started, woken = until_all(children, program.workers_said, enabled=True, limit=30)
    parent = program.until_parent(enabled=True)
    assert parent.pid not in started

    rest.put("/flags/1/enabled", {"enabled": False})
    seen, off = until_all(children, program.workers_said, enabled=False)
    program.until_parent(enabled=False)
    rest.put("/flags/1/enabled", {"enabled": True})
    _, on = until_all(children, program.workers_said, enabled=True)
    assert program.until_parent(enabled=True).pid == parent.pid
    assert seen.keys() == started.keys()
    took = program.end()
    print(f"\nlive after {woken:.3f} s, off after {off:.3f} s, on after {on:.3f} s, ended after {took:.3f} s")
    return took


@contextmanager
def switching(rest: Rest) -> Iterator[None]:
    """Switch the flag on and off all the time, in a thread."""
    stop, errors = threading.Event(), list[BaseException]()

    def work() -> None:
        enabled = False
        try:
            while not stop.wait(0.005):
                rest.put("/flags/1/enabled", {"enabled": enabled})
                enabled = not enabled
        except BaseException as exc:  # noqa: BLE001 - raised again by the test's thread
            errors.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not errors, errors


@pytest.mark.covers("G8", "F76")
def test_celery_is_fresh_in_every_process_of_its_pool(rest: Rest, tmp_path: Path) -> None:
    need(module="celery")
    worker = [sys.executable, "-m", "celery", "-A", f"{APPS}.celery_worker", "worker", "--pool=prefork"]
    options = [
        "--concurrency=3",
        "--loglevel=INFO",
        "-O",
        "fair",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]

    with ForkingProgram([*worker, *options], rest.server.url, tmp_path, {"C_FORCE_ROOT": "1"}) as program:
        sender = [sys.executable, "-m", f"{APPS}.celery_sender"]
        program.logged("(celery@.* ready)")
        with ForkingProgram(sender, rest.server.url, tmp_path):
            took = switch_and_watch(rest, program, 3)

    assert took < END


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.covers("G8", "F76")
def test_multiprocessing_is_fresh_in_every_process(rest: Rest, tmp_path: Path, method: str) -> None:
    program = [sys.executable, "-m", f"{APPS}.processes", method, 4]

    with ForkingProgram(program, rest.server.url, tmp_path) as running:
        took = switch_and_watch(rest, running, 4)

    assert took < END


@pytest.mark.covers("G8", "F75")
def test_hundred_forks_in_a_thread_while_the_stream_applies_changes_are_all_fresh(rest: Rest, tmp_path: Path) -> None:
    start = time.monotonic()

    with ForkingProgram([sys.executable, "-m", f"{APPS}.forks_in_thread"], rest.server.url, tmp_path) as program:
        with switching(rest):
            result = program.logged("(.* were fresh, .*)", limit=50)
        assert program.process.wait(END) == 0

    print(f"\n{time.monotonic() - start:.3f} s; {rest.revision()} revisions")
    assert result == "100 of 100 were fresh, parent live: True", program.log


def test_subprocesses_under_uvloop_do_not_disturb_the_streams_of_their_parent(rest: Rest, tmp_path: Path) -> None:
    need(module="uvloop")
    program = [sys.executable, "-m", f"{APPS}.uvloop_subprocesses"]

    with ForkingProgram(program, rest.server.url, tmp_path) as running:
        result = running.logged("(after .*)")
        running.until_parent(enabled=True)
        rest.put("/flags/1/enabled", {"enabled": False})
        running.until_parent(enabled=False)
        connections = len(rest.server.services.broadcaster)
        took = running.end()

    assert result == "after 40 subprocesses, streams lost: 0"
    assert connections == 2
    assert took < END
