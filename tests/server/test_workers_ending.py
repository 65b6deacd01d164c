"""How a server of several workers ends: in good order, at once, or because it can't go on; and never in part."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
from live import free_port
from program import run
from server_process import ended
from waiting import until
from worker_processes import PATIENCE, Crew, alive, crew, metrics, rest, streams_at_all

from flagent.errors import ConfigurationError
from flagent.server.run import serve
from flagent.server.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tells the workers apart by /proc")


def test_sigterm_ends_the_streams_of_all_workers_in_one_window_and_serves_them_meanwhile(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db", drain_window=1.5) as running, streams_at_all(running, each=40) as streams:
        with ExitStack() as stack:
            clients = [stack.enter_context(running.client_at(worker)) for worker in running.workers]
            began = time.monotonic()
            running.server.send_signal(signal.SIGTERM)
            for client in clients:
                until(lambda client=client: client.get("/readyz").status_code == 503, PATIENCE)  # type: ignore[misc]
            body = {"key": "late", "description": ""}
            statuses = [client.get("/realtime/sse").status_code for client in clients]
            created = clients[0].post("/api/v1/flags", json=body).status_code

            code = ended(running.server, 20)
            took = time.monotonic() - began

        last = [[message.type for message in stream] for some in streams.values() for stream in map(rest, some)]

    assert (code, created, statuses) == (0, 200, [503, 503])
    # One window, not one after the other.
    assert 1.0 < took < 15.0
    assert {types[-1] for types in last} == {"goodbye"}
    assert any("flag.created" in types for types in last)


def test_ctrl_c_ends_all_at_once_though_the_terminal_tells_everybody(tmp_path: Path) -> None:
    with in_a_group(tmp_path) as running, streams_at_all(running) as streams:
        workers = running.workers
        os.killpg(running.server.pid, signal.SIGINT)

        assert ended(running.server, 10) == 0
        for stream in (each for some in streams.values() for each in some):
            assert stream.next("goodbye").data["reason"] == "drain"

    assert not any(map(alive, workers))


def test_sigterm_to_everybody_is_no_reason_to_hurry(tmp_path: Path) -> None:
    """As systemd sends it."""
    with in_a_group(tmp_path) as running, streams_at_all(running, each=25):
        began = time.monotonic()
        os.killpg(running.server.pid, signal.SIGTERM)

        assert ended(running.server, 20) == 0
        # Fifty streams, at fifty a second.
        assert time.monotonic() - began > 0.8


def test_a_second_signal_waits_for_no_request_of_any_worker(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db") as running, ExitStack() as stack:
        for worker in running.workers:
            slow = stack.enter_context(
                running.at(worker, lambda: socket.create_connection(("127.0.0.1", running.port)))
            )
            slow.sendall(b"POST /api/v1/evaluation HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n")
            stack.enter_context(running.client_at(worker))
        running.server.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            running.server.wait(0.5)

        running.server.send_signal(signal.SIGTERM)

        assert ended(running.server, 4) == 0


def test_a_third_signal_kills_also_what_does_not_react(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db") as running:
        workers = running.workers
        os.kill(workers[0], signal.SIGSTOP)
        for _ in range(2):
            running.server.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                running.server.wait(0.3)

        running.server.send_signal(signal.SIGTERM)
        running.server.wait(10)

    assert running.server.returncode == -signal.SIGTERM
    until(lambda: not any(map(alive, workers)), PATIENCE)


def test_no_worker_is_left_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    port = free_port()
    with crew(tmp_path / "flagent.db", port=port) as running, streams_at_all(running):
        # The one in its place is younger than the other one, and must not keep what that waits for the end of.
        os.kill(running.workers[0], signal.SIGKILL)
        with httpx2.Client(base_url=running.url, trust_env=False) as client:
            until(lambda: len(running.workers) == 2 and metrics(client)["flagent_workers"] == 2, PATIENCE)
        workers = running.workers

        running.server.kill()
        running.server.wait(10)

        until(lambda: not any(map(alive, workers)), PATIENCE)

    with crew(tmp_path / "flagent.db", port=port) as again:
        assert httpx2.get(f"{again.url}/readyz", trust_env=False).status_code == 200


def test_workers_that_can_not_be_started_again_end_the_server_with_a_message(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with crew(folder / "flagent.db") as running:
        shutil.rmtree(folder)
        for worker in running.workers:
            os.kill(worker, signal.SIGKILL)
        _, errors = running.server.communicate(timeout=40)

    assert running.server.returncode == 1
    assert "ServerFailed: all workers end as soon as they are started" in errors
    assert f"there is no directory {str(folder)!r}" in errors


def test_what_keeps_the_first_worker_from_starting_is_said_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'missing' / 'flagent.db'}"

    code, said, errors = run("serve", "--port", "0", "--workers", "3", "--database", url)

    assert (code, said) == (2, "")
    assert errors.count("there is no directory") == 1


def test_a_port_in_use_starts_no_worker(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, errors = run("serve", "--port", port, "--workers", "2", "--database", f"sqlite:///{tmp_path / 'a.db'}")

    assert code == 2
    assert f"port {port} of 127.0.0.1 is in use" in errors
    assert not (tmp_path / "a.db").exists()


def test_a_system_without_what_workers_need_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "send_fds")

    with pytest.raises(ConfigurationError, match="workers: linux can have one only"):
        serve(Settings(port=0, workers=2))


def test_a_limit_of_which_a_worker_would_get_nothing_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="max_downloads: 1 is too little for 2 workers"):
        serve(Settings(port=0, workers=2, max_downloads=1))


@contextmanager
def in_a_group(tmp_path: Path) -> Iterator[Crew]:
    """Run a server that is in a group of processes with its workers, as in a terminal."""
    with crew(tmp_path / "flagent.db", new_group=True) as running:
        assert os.getpgid(running.server.pid) == running.server.pid
        assert {os.getpgid(pid) for pid in running.workers} == {running.server.pid}
        yield running
