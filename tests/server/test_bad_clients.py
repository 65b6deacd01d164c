"""Clients that send nothing, a little, or take nothing: they are cut in the end, and the others do not notice."""

from __future__ import annotations

import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx2
import pytest
from live import LiveServer
from server_process import ended, port_of, process
from sse_messages import Subscriber
from waiting import until

from flagent.server.protocols import Connection

Start = Callable[..., LiveServer]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let connections wait for tenths of a second."""
    monkeypatch.setattr("flagent.server.protocols.REQUEST_TIMEOUT", 0.4)
    monkeypatch.setattr("flagent.server.protocols.LINGER", 0.2)


@contextmanager
def opened(server: LiveServer, *, receive_buffer: int = 0) -> Iterator[socket.socket]:
    with socket.socket() as client:
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(10)
        client.connect(("127.0.0.1", server.port))
        yield client


def _passed(began: float, seconds: float) -> bool:
    return time.monotonic() - began > seconds


def connections(server: LiveServer) -> int:
    return len(server._server.server_state.connections)


def lingering(server: LiveServer) -> bool:
    """Whether the server waits for a client to take the end of an answer."""
    return any(isinstance(each, Connection) and each._lingering for each in server._server.server_state.connections)


@pytest.mark.covers("I7")
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET /api/v1/health HTT",
        b"GET /api/v1/health HTTP/1.1\r\nHost: t\r\nX: ",
        b"POST /api/v1/evaluation HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n{",
        b"GET /api/v1/health HTTP/1.1\r\nHost: t\r\n\r\nGET /api/v1/hea",
    ],
    ids=["nothing", "a line", "a header", "a body", "a second request"],
)
def test_a_request_that_never_ends_is_given_up_however_it_drips(live_server: LiveServer, begin: bytes) -> None:
    with opened(live_server) as client:
        client.sendall(begin)

        def drip() -> bool:
            # It never stops to send, which is not the same as coming to an end.
            try:
                client.sendall(b"x" if begin else b"")
                client.settimeout(0.02)
                return client.recv(65536) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        until(drip)
    live_server.wait_until(lambda: connections(live_server) == 0)


@pytest.mark.covers("I7")
@pytest.mark.usefixtures("impatient")
def test_streams_and_connections_between_requests_outlive_that_limit(live_server: LiveServer) -> None:
    with Subscriber(live_server.port) as stream, opened(live_server) as idle:
        stream.next("connected")
        for _ in range(2):
            idle.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: t\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += idle.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 OK")
            began = time.monotonic()
            until(partial(_passed, began, 0.6))
        live_server.create_flag("a")

        assert stream.next().type == "flag.created"


@pytest.mark.covers("F58", "I7")
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("header", ["", "Connection: close\r\n"], ids=["kept alive", "closing"])
@pytest.mark.parametrize("path", ["/api/v1/flags", "/api/v1/export/eval_cache/json?view=full"])
def test_an_answer_that_is_not_taken_costs_its_memory_for_a_while_only(
    start_server: Start, path: str, header: str
) -> None:
    server = start_server(write_timeout=0.2)
    flag_id = server.create_flag("a")
    server.http.put(f"/flags/{flag_id}", json={"notes": "n" * 6_000_000}).raise_for_status()
    before = connections(server)
    with opened(server, receive_buffer=4096) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\n{header}\r\n".encode())
        server.wait_until(lambda: connections(server) == before + 1)

        server.wait_until(lambda: connections(server) == before)


@pytest.mark.covers("I7")
@pytest.mark.usefixtures("impatient")
def test_an_answer_that_is_taken_slowly_arrives_completely(start_server: Start) -> None:
    server = start_server()
    flag_id = server.create_flag("a")
    server.http.put(f"/flags/{flag_id}", json={"notes": "n" * 6_000_000}).raise_for_status()
    received = 0
    with opened(server, receive_buffer=65536) as client:
        client.sendall(b"GET /api/v1/flags HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        began = time.monotonic()
        while chunk := client.recv(65536):
            received += len(chunk)
            # All of it takes far longer than the limit.
            until(partial(_passed, began, received / 4_000_000))

    assert received > 6_000_000


@pytest.mark.covers("I7")
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "asked",
    [
        b"GET /api/v1/health",
        b"GET /api/v1/flags",
        b"GET /api/v1/evaluation?json={}",
        b"GET /api/v1/export/eval_cache/json",
    ],
    ids=["small", "large", "hot", "a download"],
)
def test_a_client_that_takes_no_answer_is_cut_whatever_it_asks_meanwhile(start_server: Start, asked: bytes) -> None:
    server = start_server()
    flag_id = server.create_flag("a")
    server.http.put(f"/flags/{flag_id}", json={"notes": "n" * 6_000_000}).raise_for_status()
    before = connections(server)
    with opened(server, receive_buffer=4096) as client:
        client.sendall(b"GET /api/v1/flags HTTP/1.1\r\nHost: t\r\n\r\n")
        server.wait_until(lambda: lingering(server) or connections(server) == before)
        # It may be cut already.
        with suppress(ConnectionError):
            client.sendall(asked + b" HTTP/1.1\r\nHost: t\r\n\r\n")

        server.wait_until(lambda: connections(server) == before)


@pytest.mark.covers("I7")
@pytest.mark.usefixtures("impatient")
def test_answers_that_are_taken_slowly_arrive_one_after_the_other(start_server: Start) -> None:
    server = start_server()
    flag_id = server.create_flag("a")
    server.http.put(f"/flags/{flag_id}", json={"notes": "n" * 3_000_000}).raise_for_status()
    request, received = b"GET /api/v1/flags HTTP/1.1\r\nHost: t\r\n%b\r\n", 0
    with opened(server, receive_buffer=65536) as client:
        client.sendall(2 * request % (b"", b"Connection: close\r\n"))
        began = time.monotonic()
        while chunk := client.recv(65536):
            received += len(chunk)
            # Both take far longer than the limit.
            until(partial(_passed, began, received / 4_000_000))

    assert received > 6_000_000


@pytest.mark.covers("F61")
def test_a_flood_with_one_key_leaves_the_others_what_they_may(start_server: Start) -> None:
    server = start_server(rate_limit=5.0)
    admin = server.http.post("/keys", json={"name": "admin", "kind": "admin"}).json()["secret"]
    made = server.http.post("/keys", json={"name": "b", "kind": "server"}, headers={"X-API-Key": admin}).json()
    with ExitStack() as stack:
        key = {"X-API-Key": made["secret"]}
        flood = [stack.enter_context(Subscriber(server.port, headers=key)) for _ in range(30)]
        other = stack.enter_context(Subscriber(server.port, headers={"X-API-Key": admin}))
        other.next("connected")

        statuses = [stream.status for stream in flood]
        assert set(statuses) == {200, 429} and statuses.count(200) < 20
        assert all(int(stream.headers["retry-after"]) >= 1 for stream in flood if stream.status == 429)


@pytest.mark.covers("F20", "I7")
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limits of another process can't be set here")
def test_a_server_without_descriptors_serves_those_that_it_has_and_takes_others_later(tmp_path: Path) -> None:
    with process(tmp_path / "flagent.db", heartbeat=0.1) as (server, url), ExitStack() as stack:
        stream = stack.enter_context(Subscriber(port_of(url)))
        stream.next("connected")
        http = stack.enter_context(httpx2.Client(base_url=f"{url}/api/v1", trust_env=False))
        # Its connections to the database are made when they are needed first.
        assert http.post("/flags", json={"key": "first", "description": ""}).status_code == 200
        assert stream.next("flag.created").data["flagKey"] == "first"
        limit, most = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        used = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 4, most))
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", port_of(url)))) for _ in range(20)]

        for _ in range(3):
            stream.next("heartbeat")
        answer = http.post("/flags", json={"key": "a", "description": ""})
        assert answer.status_code == 200, answer.text
        assert stream.next("flag.created").data["flagKey"] == "a"
        for each in crowd:
            each.close()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, most))

        with Subscriber(port_of(url)) as late:
            late.next("connected")
        server.send_signal(signal.SIGTERM)
        assert ended(server, 10) == 0
