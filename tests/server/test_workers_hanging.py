"""A worker that is there but does nothing: it is killed and replaced, and those that were only paused are not."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from server_process import PROGRAM, ended
from waiting import until
from worker_processes import PATIENCE, alive, crew, rest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tells the workers apart by /proc")

#: Seconds that a worker may work at nothing, where that is what a test is about.
TIMEOUT = 3.0

#: A server whose workers hang when they get a signal.
_HANGING = """
import signal, time
def hang_for_ever(*_):
    while True:
        time.sleep(1)
def prepare():
    signal.signal(signal.SIGUSR1, hang_for_ever)
""" + PROGRAM.replace("serve(Settings(", "serve(prepare=prepare, settings=Settings(")


def test_a_worker_whose_event_loop_hangs_says_where_and_is_replaced(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db", program=_HANGING, worker_timeout=TIMEOUT) as running, ExitStack() as stack:
        first, second = running.workers
        stream, other = (stack.enter_context(running.stream_at(worker)) for worker in (first, second))
        os.kill(first, signal.SIGUSR1)

        assert "goodbye" not in [message.type for message in rest(stream)]
        until(lambda: not alive(first) and len(running.workers) == 2, PATIENCE)
        with httpx2.Client(base_url=running.url, trust_env=False, timeout=PATIENCE) as client:
            until(lambda: client.get("/metrics").status_code == 200, PATIENCE)
            client.post("/api/v1/flags", json={"key": "a", "description": ""}).raise_for_status()

        assert other.next("flag.created").data["flagKey"] == "a"
        assert second in running.workers
        running.server.send_signal(signal.SIGTERM)
        assert running.server.wait(PATIENCE) == 0
        assert running.server.stderr is not None
        said = running.server.stderr.read()
    assert f"worker 1 (process {first}) works at nothing for {TIMEOUT:g} s" in said
    assert "by SIGABRT" in said
    assert "in hang_for_ever" in said


def test_a_worker_that_is_stopped_is_replaced_as_well(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db", worker_timeout=TIMEOUT) as running:
        first, second = running.workers
        with running.stream_at(first) as stream:
            os.kill(first, signal.SIGSTOP)

            rest(stream)
        until(lambda: not alive(first) and len(running.workers) == 2, PATIENCE)
        assert second in running.workers


def test_workers_that_were_paused_with_all_the_rest_go_on(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db", worker_timeout=TIMEOUT) as running:
        workers = running.workers
        everybody = [running.server.pid, *workers]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(1.2 * TIMEOUT)
        os.kill(running.server.pid, signal.SIGCONT)
        # Who looks at the others may be the first to go on.
        time.sleep(TIMEOUT / 5)
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        with httpx2.Client(base_url=running.url, trust_env=False, timeout=PATIENCE) as client:
            until(lambda: client.get("/metrics").status_code == 200, PATIENCE)
        time.sleep(TIMEOUT / 2)

        assert running.workers == workers
        running.server.send_signal(signal.SIGINT)
        assert ended(running.server, PATIENCE) == 0


def test_nobody_is_killed_for_silence_where_that_is_switched_off(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db", worker_timeout=0) as running:
        workers = running.workers
        os.kill(workers[0], signal.SIGSTOP)
        time.sleep(TIMEOUT / 3)
        os.kill(workers[0], signal.SIGCONT)

        assert running.workers == workers
