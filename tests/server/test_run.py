"""The server as a process: where it listens, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from live import LiveServer
from server_process import ended, port_of, process
from sse_messages import Subscriber

from flagent.errors import ConfigurationError, FlagentError
from flagent.server.listening import bind, url_of
from flagent.server.run import serve
from flagent.server.settings import Settings


@pytest.mark.covers("F52")
def test_ctrl_c_ends_the_server_within_a_second_while_streams_are_open(tmp_path: Path) -> None:
    """F52, on a small scale."""
    with process(tmp_path / "flagent.db") as (server, url), ExitStack() as stack:
        queries = ["payload=flag&flagKey=other"] * 40 + ["flagKey=other"] * 9
        streams = [stack.enter_context(Subscriber(port_of(url), query)) for query in queries]
        stalled = stack.enter_context(Subscriber(port_of(url), receive_buffer=4096))
        for stream in [*streams, stalled]:
            stream.next("connected")
        keeps_alive = stack.enter_context(httpx2.Client(base_url=url))
        flag = keeps_alive.post("/api/v1/flags", json={"key": "a", "description": "a"}).json()
        for letter in "abcdefghij":
            keeps_alive.put(f"/api/v1/flags/{flag['id']}", json={"notes": letter * 100_000})
        started = time.monotonic()

        server.send_signal(signal.SIGINT)
        code = ended(server, 5)
        elapsed = time.monotonic() - started

        assert [stream.next("goodbye").data["reason"] for stream in streams[:40]] == ["drain"] * 40
        for stream in streams[40:]:
            with pytest.raises(EOFError):
                stream.next("nothing")
        assert code == 0
        assert elapsed < 3.0


@pytest.mark.covers("G3", "I10")
def test_it_is_there_again_at_once_and_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    """G3."""
    database = tmp_path / "flagent.db"
    with process(database) as (server, url):
        answer = httpx2.post(f"{url}/api/v1/flags", json={"key": "a", "description": "a"})
        server.kill()
    assert answer.status_code == 200
    started = time.monotonic()

    with process(database) as (_, url):
        elapsed = time.monotonic() - started
        flags = httpx2.get(f"{url}/api/v1/flags").json()

    assert [flag["key"] for flag in flags] == ["a"]
    # Nothing of what was killed is waited for; how long a start takes is measured by benchmarks/latency.py.
    assert elapsed < 10.0


def test_the_real_port_is_told(tmp_path: Path) -> None:
    with LiveServer(Settings(port=0, database_url=f"sqlite:///{tmp_path / 'a.db'}")) as server:
        assert server.port > 0
        assert server.http.get("/health").status_code == 200


def test_a_port_in_use_is_an_error_that_names_it(tmp_path: Path, shared_server: LiveServer) -> None:
    database = tmp_path / "flagent.db"

    with pytest.raises(ConfigurationError, match=f"port {shared_server.port} of 127.0.0.1 is in use"):
        serve(Settings(port=shared_server.port, database_url=f"sqlite:///{database}"))

    assert not database.exists()


def test_a_port_that_another_server_took_first_is_an_error_too(tmp_path: Path) -> None:
    """Two servers may bind the same address; the first that listens has it."""
    with bind("127.0.0.1", 0) as early:
        port = int(early.getsockname()[1])
        late = bind("127.0.0.1", port)
        early.listen()
        from flagent.server.run import Server

        server = Server(
            Settings(port=port, database_url=f"sqlite:///{tmp_path / 'a.db'}"), on_ready=lambda _: pytest.fail("ready")
        )
        with late, pytest.raises(ConfigurationError, match="in use"):
            server.run([late])

    assert server.app.services is None


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_an_error_that_names_it(host: str) -> None:
    with pytest.raises(ConfigurationError, match=f"can't listen at {host} port 0"):
        serve(Settings(host=host, port=0))


def test_a_database_that_can_not_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FlagentError):
        serve(Settings(port=0, database_url=f"sqlite:///{tmp_path / 'missing' / 'flagent.db'}"))


@pytest.mark.skipif(not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"), reason="no IPv6")  # noqa: PTH110
def test_an_ipv6_address_is_written_as_urls_want_it() -> None:
    with bind("::1", 0) as bound:
        assert url_of(bound).startswith("http://[::1]:")
