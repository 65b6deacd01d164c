"""How a server leaves its clients: a few at a time, served to the last moment; at once when it is told twice."""

from __future__ import annotations

import asyncio
import resource
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
from live import LiveServer
from server_process import ended, port_of, process
from sse_messages import Message, Subscriber

from flagent.server import leaving

_MANY = 1000


@pytest.fixture(autouse=True)
def enough_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * _MANY
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def subscribers(stack: ExitStack, port: int, count: int, query: str = "payload=flag") -> list[Subscriber]:
    streams = [stack.enter_context(Subscriber(port, query)) for _ in range(count)]
    for stream in streams:
        stream.next("connected")
    return streams


@pytest.mark.covers("F52")
def test_sigterm_ends_streams_one_after_the_other_and_serves_the_others_meanwhile(tmp_path: Path) -> None:
    with process(tmp_path / "flagent.db", drain_window=3.0) as (server, url), ExitStack() as stack:
        streams = subscribers(stack, port_of(url), 150)
        http = stack.enter_context(httpx2.Client(base_url=f"{url}/api/v1", trust_env=False))
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        # The server says so when it has begun.
        while httpx2.get(f"{url}/readyz", trust_env=False).status_code == 200:
            pass
        # The first goodbye; nothing else is said for the heartbeat's 15 s.
        assert select.select([stream.socket for stream in streams], [], [], 10.0)[0]

        refused = http.get("/realtime/sse")
        assert http.post("/flags", json={"key": "late", "description": ""}).status_code == 200
        code = ended(server, 20)
        took = time.monotonic() - began

        assert code == 0
        assert (refused.status_code, list(refused.json())) == (503, ["message"])
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        assert 2.0 < took < 15.0
        last = [[message.type for message in rest(stream)] for stream in streams]
        assert {each[-1] for each in last} == {"goodbye"}
        # Whoever was still there when the flag was made got it.
        assert 0 < sum("flag.created" in each for each in last) < len(last)


@pytest.mark.covers("G6", "F52")
def test_each_client_is_given_another_moment_to_come_back(tmp_path: Path) -> None:
    with process(tmp_path / "flagent.db", drain_window=0.5) as (server, url), ExitStack() as stack:
        streams = subscribers(stack, port_of(url), 50)
        server.send_signal(signal.SIGTERM)
        assert ended(server, 10) == 0

        waits = [stream.next("goodbye").data["reconnectAfterMs"] for stream in streams]

    assert len(set(waits)) > 30
    assert min(waits) >= 0 and max(waits) <= 1000


def test_a_server_without_streams_ends_at_once(tmp_path: Path) -> None:
    with process(tmp_path / "flagent.db") as (server, _):
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)

        assert ended(server, 10) == 0
        # Far from the window, of which 20 s are the default.
        assert time.monotonic() - began < 5.0


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.covers("F52")
def test_a_thousand_streams_do_not_hold_it_back_when_it_has_to_hurry(tmp_path: Path, first: signal.Signals) -> None:
    """F52: Ctrl+C, or a second signal in the middle of the window, of which 20 s are the default."""
    with process(tmp_path / "flagent.db") as (server, url), crowd(port_of(url), _MANY) as goodbyes:
        server.send_signal(first)
        if first is signal.SIGTERM:
            while httpx2.get(f"{url}/readyz", trust_env=False).status_code == 200:
                pass
            server.send_signal(signal.SIGTERM)
        began = time.monotonic()

        assert ended(server, 15) == 0
        # A second or two on a quiet machine.
        assert time.monotonic() - began < 10.0
        assert goodbyes() == _MANY


@pytest.mark.covers("F52")
def test_a_thousand_streams_are_gone_when_the_window_ends(tmp_path: Path) -> None:
    with process(tmp_path / "flagent.db", drain_window=2.0) as (server, url), crowd(port_of(url), _MANY) as goodbyes:
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)

        assert ended(server, 20) == 0
        assert 2.0 <= time.monotonic() - began < 15.0
        assert goodbyes() == _MANY


def test_a_second_signal_waits_for_no_request_and_is_a_success(tmp_path: Path) -> None:
    with (
        process(tmp_path / "flagent.db") as (server, url),
        socket.create_connection(("127.0.0.1", port_of(url))) as slow,
    ):
        # A request that never comes to its end holds a polite server back.
        slow.sendall(b"POST /api/v1/evaluation HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n")
        httpx2.get(f"{url}/api/v1/health").raise_for_status()
        server.send_signal(signal.SIGTERM)
        with pytest.raises(TimeoutError):
            slow.settimeout(0.5)
            slow.recv(1)

        server.send_signal(signal.SIGTERM)

        assert ended(server, 2) == 0


def test_a_stream_lives_so_long_and_no_longer(start_server: Callable[..., LiveServer]) -> None:
    server = start_server(max_age=0.5)
    with Subscriber(server.port) as stream, Subscriber(server.port, "") as compatible:
        began = time.monotonic()
        stream.next("connected")
        compatible.next("connected")

        goodbye = stream.next("goodbye")
        took = time.monotonic() - began
        with pytest.raises(EOFError):
            stream.next()
        with pytest.raises(EOFError):
            compatible.next("none")

    assert goodbye.data["reason"] == "max_age"
    assert 0 <= goodbye.data["reconnectAfterMs"] <= 1000
    assert 0.3 < took < 5.0


def test_streams_that_began_together_do_not_end_together(start_server: Callable[..., LiveServer]) -> None:
    server = start_server()
    with ExitStack() as stack:
        subscribers(stack, server.port, 30)
        now = time.monotonic()

        ends = server.call(lambda: [stream.ends_at - now for stream in server.services.broadcaster.streams])

    # Half an hour, give or take a fifth.
    assert 1435 < min(ends) < 1700 < 1900 < max(ends) <= 2160


def test_without_an_age_they_live_for_ever(start_server: Callable[..., LiveServer]) -> None:
    server = start_server(max_age=0.0, heartbeat=0.05)
    with Subscriber(server.port) as stream:
        for _ in range(5):
            stream.next("heartbeat")


@pytest.mark.covers("F60")
def test_as_many_streams_as_are_allowed(start_server: Callable[..., LiveServer]) -> None:
    server = start_server(max_streams=2)
    with Subscriber(server.port) as first, Subscriber(server.port) as second:
        first.next("connected")
        second.next("connected")

        refused = [server.http.get("/realtime/sse") for _ in range(20)]

    assert {each.status_code for each in refused} == {503}
    assert len({each.headers["retry-after"] for each in refused}) > 1
    server.wait_until(lambda: len(server.services.broadcaster) == 0)
    with Subscriber(server.port) as again:
        again.next("connected")


def test_the_window_ends_when_nobody_is_left(start_server: Callable[..., LiveServer]) -> None:
    """The turns of these would take minutes."""
    server = start_server()
    with ExitStack() as stack:
        subscribers(stack, server.port, 20)

        async def begun() -> asyncio.Task[None]:
            work = leaving.drain(server.services.broadcaster, window=3600.0, hurried=lambda: False, workers=1000)
            return asyncio.create_task(work)

        draining = server.run(begun())

    server.wait_until(draining.done)


def test_hurrying_in_the_middle_of_the_window_ends_the_rest_at_once(start_server: Callable[..., LiveServer]) -> None:
    server = start_server()
    with ExitStack() as stack:
        streams = subscribers(stack, server.port, 20)
        hurry = False

        async def drained() -> int:
            nonlocal hurry
            # The broadcaster forgets those that have ended.
            opened = server.services.broadcaster.streams
            draining = asyncio.create_task(
                leaving.drain(server.services.broadcaster, window=3600.0, hurried=lambda: hurry)
            )
            while all(not stream.ended for stream in opened):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            left = sum(not stream.ended for stream in opened)
            hurry = True
            await draining
            return left

        assert 0 < server.run(drained()) < 20
        for stream in streams:
            stream.next("goodbye")


def rest(stream: Subscriber) -> list[Message]:
    found: list[Message] = []
    try:
        while True:
            found.append(stream.next())
    except EOFError:
        return found


@contextmanager
def crowd(port: int, count: int) -> Iterator[Callable[[], int]]:
    """Open many streams that nobody reads until the end; yield a function that counts their goodbyes then."""
    with ExitStack() as stack:
        sockets = []
        for _ in range(count):
            opened = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            opened.sendall(b"GET /realtime/sse?payload=flag HTTP/1.1\r\nHost: test\r\n\r\n")
            sockets.append(opened)
        for opened in sockets:
            received = b""
            while b"event: connected" not in received:
                received += opened.recv(4096)

        def goodbyes() -> int:
            found = 0
            for opened in sockets:
                received = b""
                while chunk := opened.recv(65536):
                    received += chunk
                found += b"event: goodbye" in received
            return found

        yield goodbyes
