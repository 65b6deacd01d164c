"""Connections before their first request: streams begin without uvicorn's objects, and everything else as ever."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import LiveServer
from raw_client import is_cut, received
from waiting import until

from flagent.server.arrivals import Arrival, _Reader
from flagent.server.prompt import PromptConnection
from flagent.server.settings import Settings
from flagent.server.stream import About

Start = Callable[..., LiveServer]

_HEAD = b"GET /realtime/sse?payload=flag HTTP/1.1\r\nHost: t\r\nX-Client-ID: c\r\n\r\n"
_HEADERS = [(b"host", b"t"), (b"x-client-id", b"c")]
#: What is no stream's request, alone and whole; each must leave the reader as it was.
_OTHERS = (
    b"",
    b"GET /realtime/sse HTT",
    b"GET /realtime/sse HTTP/1.1\r\nHost: t\r\n",
    b"GET /realtime/sse HTTP/1.0\r\n\r\n",
    b"GET /realtime/sse HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"GET /realtime/sse HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"GET /realtime/sse HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    b"GET /realtime/sse HTTP/1.1\r\nORIGIN: https://example.org\r\n\r\n",
    b"GET /realtime/sse HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
    b"GET /realtime/sse HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
    b"GET /realtime/sse HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 3\r\n\r\n",
    b"GET /realtime/sse HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /realtime/sse HTTP/1.1\r\nno header\r\n\r\n",
    b"GET /realtime/sse HTTP/1.1\r\nA\x00: b\r\n\r\n",
    b"NONSENSE\r\n\r\n",
    _HEAD + _HEAD,
    _HEAD + b"G",
)


@given(st.lists(st.sampled_from((_HEAD, *_OTHERS)), max_size=12))
def test_what_one_client_says_is_never_taken_for_a_part_of_what_another_one_says(heads: list[bytes]) -> None:
    reader = _Reader()

    found = [reader.headers_of(head) for head in heads]

    assert found == [_HEADERS if head == _HEAD else None for head in heads]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    database = tmp_path_factory.mktemp("arrivals") / "flagent.db"
    with LiveServer(Settings(port=0, database_url=f"sqlite:///{database}")) as live:
        live.create_flag("a", enabled=True)
        # Its connection would stay, and the tests count them.
        live.http.close()
        yield live


@contextmanager
def connected(server: LiveServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield client


def kinds(server: LiveServer) -> list[type]:
    """Return of what kind the connections are."""
    return sorted((type(each) for each in server._server.server_state.connections), key=lambda each: each.__name__)


def streams(server: LiveServer) -> list[About]:
    """Return who reads the open streams."""
    return [each.about for each in server.services.broadcaster._streams.values()]


_TARGETS = st.sampled_from(
    (
        b"/realtime/sse",
        b"/api/v1/realtime/sse?payload=flag",
        b"/realtime/sse?payload=flag&flagKey=a&clientID=q",
        b"/realtime/sse?payload=flag&after=x%3A1",
        b"/realtime/sse?payload=flag&since=2000-01-01T00:00:00Z",
        b"/realtime/sse?payload=flag&s%69nce=2000-01-01T00:00:00Z",
        b"/realtime/sse?payload=flag&since=never",
        b"/realtime/sse?a#b",
        b"/realtime/s%73e?payload=flag",
        b"//realtime/sse",
        b"http://t/realtime/sse",
        b"/realtime/evaluations?entityID=u1",
        b"/realtime/evaluations",
        b"/api/v1/health",
        b"/nothing",
    )
)
_SAID = st.lists(
    st.sampled_from(
        (
            b"Host: t",
            b"User-Agent: one",
            b"User-Agent: two",
            b"X-Client-ID: c",
            b"Last-Event-ID: x:1",
            b"Connection: close",
            b"Origin: https://example.org",
            b"Content-Length: 0",
            b"Content-Length: x",
            b"no header",
            b"Accept: text/event-stream",
        )
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from((b"GET", b"HEAD", b"POST")), _TARGETS, _SAID, st.integers(1, 20))
def test_a_request_is_answered_the_same_whole_and_in_two_pieces(
    server: LiveServer, method: bytes, target: bytes, said: list[bytes], cut: int
) -> None:
    head = b"\r\n".join((method + b" " + target + b" HTTP/1.1", *said, b"", b""))
    outcomes = []
    for pieces in ((head,), (head[:cut], head[cut:])):
        server.wait_until(lambda: not server._server.server_state.connections)
        with connected(server) as client:
            if len(pieces) > 1:
                client.sendall(pieces[0])
                server.wait_until(lambda: kinds(server) == [PromptConnection])
            client.sendall(pieces[-1])
            answer = received(client, b"\r\n\r\n")
            about = [
                (each.kind, each.client_id, each.agent, each.wanted) for each in server.call(lambda: streams(server))
            ]
            framing = re.findall(
                rb"(?i)\r\n((?:connection|content-type|content-length|transfer-encoding): [^\r]*)", answer
            )
            outcomes.append((answer[:12], sorted(each.lower() for each in framing), about))

    assert outcomes[0] == outcomes[1]


def test_a_stream_takes_the_connection_before_there_is_anything_else(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, make = [], PromptConnection.connection_made

    def making(self: PromptConnection, transport: asyncio.Transport) -> None:
        made.append(self)
        make(self, transport)

    monkeypatch.setattr(PromptConnection, "connection_made", making)
    server.wait_until(lambda: not server._server.server_state.connections)
    with connected(server) as client:
        server.wait_until(lambda: kinds(server) == [Arrival])
        client.sendall(_HEAD)
        received(client, b"event: connected")

        assert [each.client_id for each in server.call(lambda: streams(server))] == ["c"]
        assert (kinds(server), made) == ([Arrival], [])
    server.wait_until(lambda: not server._server.server_state.connections)


def test_those_that_say_nothing_are_cut_one_after_the_other(
    start_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagent.server.protocols.REQUEST_TIMEOUT", 0.4)
    server = start_server()
    began = time.monotonic()
    with connected(server) as first:
        until(lambda: time.monotonic() - began > 0.2)
        with connected(server) as second, connected(server) as stream:
            stream.sendall(_HEAD)
            received(stream, b"event: connected")

            assert is_cut(first)
            assert time.monotonic() - began >= 0.4
            assert is_cut(second)
            assert time.monotonic() - began >= 0.6
            server.wait_until(lambda: len(kinds(server)) == 1)
            assert len(server.call(lambda: streams(server))) == 1


def test_a_client_that_goes_without_a_word_leaves_nothing(server: LiveServer) -> None:
    server.wait_until(lambda: not server._server.server_state.connections)
    with connected(server):
        server.wait_until(lambda: kinds(server) == [Arrival])
    server.wait_until(lambda: not server._server.server_state.connections)


def test_a_server_that_ends_does_not_wait_for_those_that_said_nothing(start_server: Start) -> None:
    server = start_server()
    with connected(server) as client:
        server.wait_until(lambda: kinds(server) == [Arrival])
        server._server.stop()

        assert client.recv(1) == b""
