"""Requests that are answered at once, and all that must not be: both ways give the same."""

from __future__ import annotations

import gc
import json
import re
import socket
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import LiveServer
from raw_client import received
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from waiting import until

from flagent.server import run, takeover
from flagent.server.arrivals import Arrival
from flagent.server.broadcast import Broadcaster
from flagent.server.prompt import PromptConnection
from flagent.server.settings import Settings

Start = Callable[..., LiveServer]

_PATH = b"/api/v1/evaluation"
_ONE = b'{"entityID":"u1","flagKey":"a"}'
_CLOSE = b"Connection: close"
#: How an answer to it ends.
_ANSWERED = b'"reason":"MATCH"}'


def request(*headers: bytes, method: bytes = b"POST", path: bytes = _PATH, body: bytes = b"") -> bytes:
    length = (b"Content-Length: %d" % len(body),) if body else ()
    return b"\r\n".join((method + b" " + path + b" HTTP/1.1", b"Host: t", *headers, *length, b"", body))


_EVALUATION = request(body=_ONE)


@pytest.fixture(scope="module", params=["prompt", "asgi"])
def way(request: pytest.FixtureRequest) -> str:
    """In which of the ways servers answer."""
    return str(request.param)


@contextmanager
def answering(way: str) -> Iterator[None]:
    """Let servers that are started here answer in one of the ways."""
    with pytest.MonkeyPatch.context() as patch:
        if way == "asgi":
            # As if this uvicorn were one that nobody has read.
            patch.setattr(takeover, "_VERSIONS", ((0, 0), (0, 1)))
        yield


def with_flag(server: LiveServer, way: str) -> LiveServer:
    """Return the server, with the flag `a`."""
    server.create_flag("a", enabled=True)
    assert bool(server._server.app.front.prompt_paths) is (way == "prompt")
    return server


@pytest.fixture
def start(way: str, start_server: Start) -> Start:
    """A function that starts a server with the flag `a`, which answers in one of the ways."""

    def started(**options: Any) -> LiveServer:
        with answering(way):
            return with_flag(start_server(**options), way)

    return started


@pytest.fixture(scope="module")
def either(way: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The same as a server that tests share."""
    database = tmp_path_factory.mktemp("either") / "flagent.db"
    with ExitStack() as stack:
        with answering(way):
            live = stack.enter_context(LiveServer(Settings(port=0, database_url=f"sqlite:///{database}")))
        yield with_flag(live, way)


@contextmanager
def connected(server: LiveServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield client


def everything(client: socket.socket) -> bytes:
    """Return all that comes until the server ends the connection."""
    found = b""
    while chunk := client.recv(65536):
        found += chunk
    return found


def begun(server: LiveServer) -> bool:
    """Whether the head of a request has arrived whose body has not."""
    open_now: Any = server._server.server_state.connections
    heard = [each for each in open_now if not isinstance(each, Arrival)]
    return any(
        each._body is not None or (each.cycle is not None and not each.cycle.response_complete) for each in heard
    )


class TestInPieces:
    """A request that does not come at once."""

    def test_a_body_that_comes_later_in_parts(self, either: LiveServer) -> None:
        server = either
        with connected(server) as client:
            client.sendall(b"POST " + _PATH + b" HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(_ONE))
            server.wait_until(lambda: begun(server))
            client.sendall(_ONE[:7])
            client.sendall(_ONE[7:])

            assert received(client, _ANSWERED).endswith(_ANSWERED)

    def test_a_body_in_chunks(self, either: LiveServer) -> None:
        with connected(either) as client:
            chunks = b"5\r\n" + _ONE[:5] + b"\r\n%x\r\n" % len(_ONE[5:]) + _ONE[5:] + b"\r\n0\r\n\r\n"
            client.sendall(request(b"Transfer-Encoding: chunked") + chunks)

            assert received(client, _ANSWERED).endswith(_ANSWERED)

    def test_a_client_that_waits_to_be_told_to_go_on(self, either: LiveServer) -> None:
        with connected(either) as client:
            client.sendall(request(b"Expect: 100-continue", b"Content-Length: %d" % len(_ONE)))
            received(client, b"100 Continue\r\n\r\n")
            client.sendall(_ONE)

            assert received(client, _ANSWERED).endswith(_ANSWERED)

    def test_a_body_that_is_larger_than_what_is_held_back(self, either: LiveServer) -> None:
        context = {"text": "x" * 200_000}
        asked = {"entityID": "u1", "flagKey": "a", "entityContext": context}

        answer = either.http.post("/evaluation", json=asked)

        assert answer.json()["evalContext"]["entityContext"] == context

    def test_it_is_answered_although_the_server_ends(self, start: Start) -> None:
        server = start()
        with connected(server) as client:
            client.sendall(request(b"Content-Length: %d" % len(_ONE)))
            server.wait_until(lambda: begun(server))
            server._server.stop()
            # From now on nobody is let in, and who is in is told to end.
            server.wait_until(lambda: not server._server.servers or not server._server.servers[0].is_serving())
            client.sendall(_ONE)

            answer = everything(client)
        assert answer.endswith(_ANSWERED)
        assert b"connection: close" in answer


class TestTheSame:
    """What is answered, whichever way."""

    def test_a_body_over_the_limit(self, start: Start) -> None:
        answer = start(max_body_bytes=1024).http.post("/evaluation", json={"entityID": "u" * 2000, "flagKey": "a"})

        assert (answer.status_code, answer.json()) == (413, {"message": "the body is larger than 1024 bytes"})

    def test_what_pages_of_other_origins_ask(self, start: Start) -> None:
        asked = {"entityID": "u1", "flagKey": "a"}

        server = start(cors_origins="https://example.org")
        answer = server.http.post("/evaluation", json=asked, headers={"Origin": "https://example.org"})

        assert answer.json()["variantKey"] == "on"
        assert answer.headers["access-control-allow-origin"] == "https://example.org"

    def test_a_batch_that_takes_several_turns(self, either: LiveServer) -> None:
        entities = [{"entityID": f"u{number}"} for number in range(300)]

        answer = either.http.post("/evaluation/batch", json={"entities": entities, "flagKeys": ["a", "b", "a"]})

        results = [(each["evalContext"]["entityID"], each["flagKey"]) for each in answer.json()["evaluationResults"]]
        assert results == [(each["entityID"], key) for each in entities for key in ("a", "b", "a")]

    def test_an_entity_without_an_id_gets_one_for_all_turns(self, either: LiveServer) -> None:
        flags = {"entities": [{}], "flagKeys": [f"f{number}" for number in range(900)]}

        answer = either.http.post("/evaluation/batch", json=flags)

        assert len({each["evalContext"]["entityID"] for each in answer.json()["evaluationResults"]}) == 1

    def test_every_request_counts_once(self, start: Start) -> None:
        server = start()
        entities = [{"entityID": f"u{number}"} for number in range(600)]
        server.http.post("/evaluation", json={"flagKey": "a"})
        server.http.post("/evaluation/batch", json={"entities": entities, "flagKeys": ["a"]})
        server.http.post("/evaluation", content=b"{")

        text = httpx2.get(f"{server.url}/metrics", trust_env=False).text

        assert "flagent_evaluations_total 601.0\n" in text
        assert 'flagent_requests_total{group="evaluation",status="200"} 2.0\n' in text
        assert 'flagent_requests_total{group="evaluation",status="400"} 1.0\n' in text

    def test_a_batch_that_takes_several_turns_counts_once_for_the_rate(self, start: Start) -> None:
        server = start(rate_limit=3.0)
        batch = {"entities": [{"entityID": f"u{number}"} for number in range(600)], "flagKeys": ["a"]}

        # Six may come at once, and two have made the flag.
        statuses = [server.http.post("/evaluation/batch", json=batch).status_code for _ in range(4)]

        assert statuses == [200] * 4


_STREAM = request(method=b"GET", path=b"/realtime/sse?payload=flag")
_ENTITY = b'{"entityID":"u1"}'


class TestStreams:
    """Streams, which have their connection to themselves from their first byte on."""

    @pytest.mark.parametrize(
        ("asked", "first"),
        [
            (_STREAM, b"event: connected"),
            (request(method=b"GET", path=b"/realtime/sse"), b"event: connected"),
            (request(method=b"GET", path=b"/realtime/evaluations?entityID=u1"), b"event: evaluations"),
            (request(path=b"/realtime/evaluations", body=_ENTITY), b"event: evaluations"),
        ],
        ids=["changes", "compatible", "entity", "entity in a body"],
    )
    def test_they_begin_without_a_task_where_that_can_be(
        self, either: LiveServer, way: str, asked: bytes, first: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, begin = [], HttpToolsProtocol._start_asgi_task

        def beginning(self: HttpToolsProtocol, *args: Any) -> None:
            begun.append(self)
            begin(self, *args)

        monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", beginning)
        requests = either.call(lambda: either._server.server_state.total_requests)
        with connected(either) as client:
            client.sendall(asked)
            received(client, first)

        assert len(begun) == (way == "asgi")
        either.wait_until(lambda: len(either.services.broadcaster) == 0)
        assert either.call(lambda: either._server.server_state.total_requests) - requests == (way == "prompt")

    def test_nothing_of_the_request_is_kept_without_the_collector(self, server: LiveServer) -> None:
        gc.collect()
        gc.disable()
        try:
            with connected(server) as client:
                client.sendall(_EVALUATION)
                received(client, _ANSWERED)
                here = client.getsockname()
                (kept,) = server.call(lambda: [weakref.ref(each) for each in others(server) if each.client == here])
                client.sendall(_STREAM)
                received(client, b"event: connected")

                server.wait_until(lambda: kept() is None)
        finally:
            gc.enable()

    def test_nothing_of_an_arrival_is_kept_without_the_collector(self, server: LiveServer) -> None:
        gc.collect()
        gc.disable()
        try:
            before = arrivals()
            with connected(server) as client:
                server.wait_until(lambda: arrivals() == before + 1)
                client.sendall(_STREAM)
                received(client, b"event: connected")

            server.wait_until(lambda: arrivals() == before)
        finally:
            gc.enable()

    def test_one_that_is_refused_leaves_the_connection_to_other_requests(self, start: Start) -> None:
        server = start(max_streams=1)
        with connected(server) as first, connected(server) as second:
            first.sendall(_STREAM)
            received(first, b"event: connected")
            second.sendall(_STREAM)
            refusal = received(second, b"}").lower()
            second.sendall(_EVALUATION)

            assert received(second, _ANSWERED).startswith(b"HTTP/1.1 200 OK")
        assert refusal.startswith(b"http/1.1 503 ") and b"retry-after: " in refusal

    def test_one_that_lacks_a_key_is_refused(self, start: Start) -> None:
        server = start()
        server.http.post("/keys", json={"name": "admin", "kind": "admin"}).raise_for_status()
        with connected(server) as client:
            client.sendall(_STREAM)

            assert received(client, b"}").startswith(b"HTTP/1.1 401 ")

    @pytest.mark.parametrize("more", [b"", b"&since=2000-01-01T00:00:00Z"], ids=["at once", "by a task"])
    def test_one_that_can_not_be_served_ends_its_connection(
        self, start: Start, more: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failing(*_: object) -> None:
            raise RuntimeError("a bug")

        server = start()
        monkeypatch.setattr(Broadcaster, "open", failing)
        with connected(server) as client:
            client.sendall(request(method=b"GET", path=b"/realtime/sse?payload=flag" + more))

            found = b""
            with suppress(ConnectionResetError):
                found = everything(client)
        assert b"internal server error" not in found

    @pytest.mark.parametrize("more", [b"", b"&since=2000-01-01T00:00:00Z"], ids=["from now on", "replayed"])
    def test_each_counts_once(self, start: Start, more: bytes) -> None:
        server = start(rate_limit=3.0)
        statuses = []
        # Six requests may come at once, and two have made the flag.
        for _ in range(4):
            with connected(server) as client:
                client.sendall(request(method=b"GET", path=b"/realtime/sse?payload=flag" + more))
                statuses.append(received(client, b"\r\n")[:12])

        assert statuses == [b"HTTP/1.1 200"] * 4
        assert server.call(lambda: opened(server)) == 4

    @pytest.mark.parametrize("more", [b"x", _EVALUATION, b"\r\n"], ids=["a byte", "a request", "a line"])
    def test_what_a_client_sends_with_its_request_does_no_harm(self, start: Start, more: bytes) -> None:
        server = start(heartbeat=0.1)
        with connected(server) as talker, connected(server) as other:
            talker.sendall(_STREAM + more)
            other.sendall(_STREAM)
            received(other, b"event: connected")

            received(talker, b"HTTP/1.1 ")
        server.wait_until(lambda: len(server.services.broadcaster) == 0)


def others(server: LiveServer) -> list[Any]:
    """Return the connections on which something else than a stream was asked."""
    open_now: Any = server._server.server_state.connections
    return [each for each in open_now if isinstance(each, PromptConnection)]


def arrivals() -> int:
    """Return how many connections on which nothing was asked are in memory, whether anything needs them or not."""
    return sum(isinstance(each, Arrival) for each in gc.get_objects())


def opened(server: LiveServer) -> float:
    """Return how many streams were opened."""
    samples = server.services.metrics.report()["flagent_streams_opened"].samples
    return sum(each.value for each in samples if each.name.endswith("_total"))


_KINDS = {
    "one": (_EVALUATION, b"200"),
    "wrong": (request(body=b"{"), b"400"),
    "of a page": (request(b"Origin: https://example.org", body=_ONE), b"200"),
    "batch": (
        request(path=_PATH + b"/batch", body=b'{"entities":[{"entityID":"u1"}],"flagKeys":["a","b"]}'),
        b"200",
    ),
    "asked by query": (request(method=b"GET", path=_PATH + b'?json={"flagKey":"a"}'), b"200"),
    "unchanged": (request(b"If-None-Match: *", method=b"GET", path=b"/api/v1/export/eval_cache/json"), b"304"),
    "not allowed": (request(method=b"PUT"), b"405"),
    "another route": (request(method=b"GET", path=b"/api/v1/health"), b"200"),
    "no route": (request(method=b"GET", path=b"/nothing"), b"404"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    database = tmp_path_factory.mktemp("prompt") / "flagent.db"
    with LiveServer(Settings(port=0, database_url=f"sqlite:///{database}")) as live:
        live.create_flag("a", enabled=True)
        yield live


@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(sorted(_KINDS)), min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 1500), max_size=5),
)
def test_however_requests_are_cut_and_joined_they_are_answered_in_their_order(
    server: LiveServer, kinds: list[str], cuts: list[int]
) -> None:
    whole = b"".join(_KINDS[kind][0] for kind in kinds) + request(_CLOSE, body=_ONE)
    edges = [0, *sorted(cut % len(whole) for cut in cuts), len(whole)]
    with connected(server) as client:
        for begin, end in pairwise(edges):
            client.sendall(whole[begin:end])

        answers = everything(client)
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answers)
    assert statuses == [*(_KINDS[kind][1] for kind in kinds), b"200"]


@settings(max_examples=20, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(sorted(_KINDS)), max_size=3),
    cuts=st.lists(st.integers(0, 1500), max_size=4),
)
def test_however_requests_are_cut_and_joined_a_stream_begins_behind_them(
    server: LiveServer, kinds: list[str], cuts: list[int]
) -> None:
    whole = b"".join(_KINDS[kind][0] for kind in kinds) + _STREAM
    edges = [0, *sorted(cut % len(whole) for cut in cuts), len(whole)]
    with connected(server) as client:
        for begin, end in pairwise(edges):
            client.sendall(whole[begin:end])

        answers = received(client, b"event: connected")
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answers)
    assert statuses == [*(_KINDS[kind][1] for kind in kinds), b"200"]
    server.wait_until(lambda: len(server.services.broadcaster) == 0)


class TestRest:
    """Connections between two requests."""

    @pytest.fixture
    def restless(self, start_server: Start, monkeypatch: pytest.MonkeyPatch) -> LiveServer:
        """A server that ends them after a second."""
        monkeypatch.setattr(run, "_KEEP_ALIVE", 1.0)
        server = start_server()
        server.create_flag("a", enabled=True)
        return server

    def test_one_that_is_not_used_is_ended(self, restless: LiveServer) -> None:
        with connected(restless) as client:
            client.sendall(_EVALUATION)
            received(client, _ANSWERED)

            assert client.recv(1) == b""

    def test_one_that_is_used_is_not(self, restless: LiveServer) -> None:
        end = time.monotonic() + 1.7
        with connected(restless) as client:
            while time.monotonic() < end:
                client.sendall(_EVALUATION)

                received(client, _ANSWERED)

    def test_those_that_became_a_stream_or_a_websocket_are_not(self, restless: LiveServer) -> None:
        handshake = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        with connected(restless) as stream, connected(restless) as websocket:
            for client in (stream, websocket):
                client.sendall(_EVALUATION)
                received(client, _ANSWERED)
            stream.sendall(request(method=b"GET", path=b"/realtime/sse"))
            websocket.sendall(request(*handshake, key, method=b"GET", path=b"/realtime/ws"))
            received(stream, b"event: connected")
            received(websocket, b"101 Switching Protocols")
            end = time.monotonic() + 1.3
            until(lambda: time.monotonic() > end)
            restless.create_flag("b")
            websocket.sendall(b"\x89\x84\0\0\0\0ping")

            received(stream, b'"flagKey":"b"')
            received(websocket, b"\x8a\x04ping")


def test_who_has_the_snapshot_is_told_so_until_it_changes(server: LiveServer) -> None:
    tag = server.http.get("/export/eval_cache/json").headers["etag"]
    held = {"If-None-Match": tag}
    before = [server.http.get("/export/eval_cache/json", headers=held) for _ in range(3)]

    server.create_flag("another", enabled=True)

    after = server.http.get("/export/eval_cache/json", headers=held)
    assert [each.status_code for each in before] == [304] * 3
    assert {each.headers["etag"] for each in before} == {tag.removeprefix("W/")}
    assert after.status_code == 200
    assert json.loads(after.content)["flags"][-1]["key"] == "another"
    assert (
        server.http.get("/export/eval_cache/json", headers={"If-None-Match": after.headers["etag"]}).status_code == 304
    )
