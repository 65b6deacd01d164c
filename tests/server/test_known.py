"""Heads that were read before are answered as if they were read again, and counted and refused like all others."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import LiveServer
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flagent.server.asgi import Answer, Begun
from flagent.server.known import Head, KnownHeads
from flagent.server.settings import Settings

Start = Callable[..., LiveServer]

_SNAPSHOT = b"/api/v1/export/eval_cache/json"
_ENTITIES = ("u1", "u22", "u333", "u" * 500)


def request(path: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    length = (b"Content-Length: %d" % len(body),) if body else ()
    method = b"POST" if body else b"GET"
    return b"\r\n".join((method + b" " + path + b" HTTP/1.1", b"Host: t", *headers, *length, b"", body))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    database = tmp_path_factory.mktemp("known") / "flagent.db"
    with LiveServer(Settings(port=0, database_url=f"sqlite:///{database}")) as live:
        live.create_flag("a", enabled=True)
        yield live


class Client:
    """A connection that stays open, on which one request is answered after the other."""

    def __init__(self, server: LiveServer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def ask(self, data: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        self._socket.sendall(data)
        return self.answer()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def answer(self) -> tuple[int, bytes]:
        """Return status and body of the next answer."""
        self._take(lambda: b"\r\n\r\n" in self._rest)
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        self._take(lambda: len(self._rest) >= length)
        body, self._rest = self._rest[:length], self._rest[length:]
        return int(head[9:12]), body

    def _take(self, is_enough: Callable[[], bool]) -> None:
        while not is_enough():
            chunk = self._socket.recv(65536)
            assert chunk, "the server ended the connection"
            self._rest += chunk

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


@contextmanager
def connected(server: LiveServer) -> Iterator[Client]:
    client = Client(server)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def reading(server: LiveServer) -> Iterator[list[bytes]]:
    """Collect the bytes that are given to a parser meanwhile."""
    read: list[bytes] = []
    receive = HttpToolsProtocol.data_received

    def receiving(self: HttpToolsProtocol, data: bytes) -> None:
        read.append(data)
        receive(self, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HttpToolsProtocol, "data_received", receiving)
        yield read


def known(server: LiveServer) -> dict[bytes, Head]:
    """Return the heads that the server knows."""
    return server._server.app.front.known._heads


def evaluation(entity: str, flag: str = "a", *headers: bytes) -> bytes:
    return request(b"/api/v1/evaluation", *headers, body=json.dumps({"entityID": entity, "flagKey": flag}).encode())


class TestAnswers:
    """What is answered to requests whose head is known."""

    def test_one_that_came_twice_is_not_read_again_whatever_its_body_says(self, server: LiveServer) -> None:
        with connected(server) as client, reading(server) as read:
            found = [client.ask(evaluation(entity, "a", b"X-Test: body")) for entity in _ENTITIES]

        assert [(status, json.loads(body)["evalContext"]["entityID"]) for status, body in found] == [
            (200, entity) for entity in _ENTITIES
        ]
        assert read == [evaluation(entity, "a", b"X-Test: body") for entity in _ENTITIES[:2]]

    def test_headers_of_tracing_and_proxies_make_no_other_head_of_it(self, server: LiveServer) -> None:
        told = [
            (f"traceparent: 00-{number}".encode(), f"X-FORWARDED-FOR: 10.0.0.{number}".encode()) for number in range(4)
        ]
        asked = [evaluation("u1", "a", b"X-Test: traced", *headers) for headers in told]
        with connected(server) as client, reading(server) as read:
            statuses = [client.ask(each)[0] for each in asked]

        assert (statuses, read) == ([200] * 4, asked[:2])
        (kept,) = [head for spelled, head in known(server).items() if b"traced" in spelled]
        assert [name for name, _ in kept.headers] == [b"host", b"x-test"]

    @pytest.mark.parametrize("value", [b"a\x00b", b"a\nb: c", b"a\rb", b"a\x7f", b"a\r\n b"], ids=repr)
    def test_what_a_parser_may_refuse_or_join_is_read_again(self, server: LiveServer, value: bytes) -> None:
        asked = evaluation("u1", "a", b"X-Test: odd")
        with connected(server) as client:
            for _ in range(3):
                client.ask(asked)
        odd = evaluation("u1", "a", b"X-Test: odd", b"traceparent: " + value)
        with connected(server) as client, reading(server) as read:
            client.ask(odd)

        assert read == [odd]

    def test_it_is_known_to_all_connections(self, server: LiveServer) -> None:
        asked = evaluation("u1", "a", b"X-Test: all")
        for _ in range(2):
            with connected(server) as client:
                client.ask(asked)
        with connected(server) as client, reading(server) as read:
            status, _ = client.ask(asked)

        assert (status, read) == (200, [])

    def test_what_is_unchanged_and_what_has_changed_since(self, server: LiveServer) -> None:
        flag = server.create_flag("changes", enabled=True)
        tag = server.http.get("/export/eval_cache/json?view=full").headers["etag"].encode()
        asked = request(_SNAPSHOT + b"?view=full", b"If-None-Match: " + tag)
        with connected(server) as client:
            before = [client.ask(asked)[0] for _ in range(4)]
            server.http.put(f"/flags/{flag}/enabled", json={"enabled": False}).raise_for_status()

            status, body = client.ask(asked)
        assert (before, status) == ([304] * 4, 200)
        found = {each["key"]: each["enabled"] for each in json.loads(body)["flags"]}
        assert found["changes"] is False

    @pytest.mark.parametrize("more", [b"P", b"\r\n", evaluation("u2")], ids=["a letter", "a line", "a request"])
    def test_bytes_that_come_with_it_are_the_next_request(self, server: LiveServer, more: bytes) -> None:
        asked = evaluation("u1", "a", b"X-Test: more")
        with connected(server) as client:
            for _ in range(3):
                client.ask(asked)
            client.send(asked + more)
            first = client.answer()
            client.send(evaluation("u2").removeprefix(more.strip()))
            second = client.answer()

        assert [json.loads(body)["evalContext"]["entityID"] for _, body in (first, second)] == ["u1", "u2"]

    def test_its_body_may_come_later(self, server: LiveServer) -> None:
        asked = evaluation("u1", "a", b"X-Test: later")
        with connected(server) as client:
            for _ in range(3):
                client.ask(asked)
            client.send(asked[:-5])
            client.send(asked[-5:])

            assert client.answer()[0] == 200
            assert client.ask(asked)[0] == 200

    def test_in_the_middle_of_another_request_it_is_a_part_of_that(self, server: LiveServer) -> None:
        asked = evaluation("u1", "a", b"X-Test: middle")
        outer = b"POST /api/v1/evaluation HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(asked)
        with connected(server) as client:
            for _ in range(3):
                client.ask(asked)
            client.send(outer)
            client.send(asked)

            status, body = client.answer()
            assert (status, b"no valid JSON" in body) == (400, True)
            assert client.ask(asked)[0] == 200

    def test_behind_one_that_takes_several_turns_it_waits(self, server: LiveServer) -> None:
        asked = evaluation("u1", "a", b"X-Test: behind")
        entities = [{"entityID": f"u{number}"} for number in range(900)]
        batch = request(
            b"/api/v1/evaluation/batch", body=json.dumps({"entities": entities, "flagKeys": ["a"]}).encode()
        )
        with connected(server) as client:
            for _ in range(3):
                client.ask(asked)
            client.send(batch)
            client.send(asked)

            assert len(json.loads(client.answer()[1])["evaluationResults"]) == 900
            assert json.loads(client.answer()[1])["evalContext"]["entityID"] == "u1"


def batches(*counts: int) -> list[bytes]:
    """Return requests for so many evaluations."""
    bodies = [json.dumps({"entities": [{}] * count, "flagKeys": ["a"]}).encode() for count in counts]
    return [request(b"/api/v1/evaluation/batch", body=body) for body in bodies]


class TestWhatTakesLonger:
    """A head that is known, with a body that takes a task."""

    def test_it_is_answered_and_counts_once(self, start_server: Start) -> None:
        server = start_server(rate_limit=4.0)
        server.create_flag("a", enabled=True)
        few, many = batches(2, 700)
        # Eight may come at once, and two have made the flag.
        with connected(server) as client:
            found = [client.ask(each) for each in (few, few, few, many, many, few)]

        assert [status for status, _ in found] == [200] * 6
        assert [len(json.loads(body)["evaluationResults"]) for _, body in found] == [2, 2, 2, 700, 700, 2]

    def test_who_asks_is_known_in_the_task(self, start_server: Start) -> None:
        server = start_server()
        server.create_flag("a", enabled=True)
        secret = server.http.post("/keys", json={"name": "admin", "kind": "admin"}).json()["secret"]
        few, many = (each.replace(b"Host: t", b"Host: t\r\nX-API-Key: " + secret.encode()) for each in batches(2, 700))
        with connected(server) as client:
            statuses = [client.ask(each)[0] for each in (few, few, few, many)]

        assert statuses == [200] * 4


class TestKeys:
    """Keys in heads that are known."""

    def test_one_that_was_revoked_opens_nothing(self, start_server: Start) -> None:
        server = start_server()
        server.create_flag("a", enabled=True)
        admin = server.http.post("/keys", json={"name": "admin", "kind": "admin"}).json()["secret"]
        server.http.headers["x-api-key"] = admin
        made = server.http.post("/keys", json={"name": "backend", "kind": "server"}).json()
        asked = evaluation("u1", "a", b"X-API-Key: " + made["secret"].encode())
        with connected(server) as client, reading(server) as read:
            before = [client.ask(asked)[0] for _ in range(4)]
            server.http.delete(f"/keys/{made['id']}").raise_for_status()
            del read[:]

            after = client.ask(asked)[0]
        assert (before, after, read) == ([200] * 4, 401, [])

    def test_one_that_is_refused_is_not_kept(self, start_server: Start) -> None:
        server = start_server()
        server.http.post("/keys", json={"name": "admin", "kind": "admin"}).raise_for_status()
        with connected(server) as client:
            statuses = [client.ask(evaluation("u1", "a", b"X-API-Key: guessed"))[0] for _ in range(4)]

        assert (statuses, server.call(lambda: len(known(server)))) == ([401] * 4, 0)


def test_a_server_that_has_stopped_keeps_none(start_server: Start) -> None:
    server = start_server()
    with connected(server) as client:
        for _ in range(3):
            client.ask(request(_SNAPSHOT, b"If-None-Match: *"))
    heads = server._server.app.front.known
    assert (len(heads._heads), len(heads._spelled)) == (1, 1)

    server.stop()

    assert (heads._heads, heads._spelled) == ({}, {})


_OK = Answer(b"")


def scope(path: str) -> dict[str, Any]:
    return {
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"t")],
    }


_ANSWERS = st.sampled_from((_OK, Begun.STREAM, Answer(b"", (), 403)))
_REQUESTS = st.tuples(st.integers(0, 400), st.integers(0, 3), _ANSWERS)


@given(st.lists(_REQUESTS, max_size=500))
def test_few_are_kept_and_each_says_what_it_said(requests: list[tuple[int, int, Answer | Begun]]) -> None:
    heads = KnownHeads()
    answered: dict[str, int] = {}
    for number, length, answer in requests:
        path = f"/{number % 200}"
        data = f"GET {path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode() + b"x" * length
        found = heads.find(data)
        if found is None:
            heads.learn(data, scope(path), length, answer)
            if answer is _OK or isinstance(answer, Begun):
                answered[path] = answered.get(path, 0) + 1
        else:
            head, body = found
            assert (head.path, body) == (path, b"x" * length)
            # Twice, and not refused.
            assert answered[path] >= 2
        assert heads.find(data + b"x") is None
        assert heads.find(data[:-1]) is None
        assert max(len(heads._heads), len(heads._spelled)) <= 128


@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: 3\r\nContent-Length: 3",
        b"Content-Length: +3",
        b"Content-Length: 3,3",
        b"Content-Length:\t3",
        b"Content-Length: 3\r\n 3",
        b"Content-Length : 3",
        b"Content-Length: 0x3",
        b"Transfer-Encoding: chunked",
    ],
    ids=repr,
)
def test_a_length_in_unusual_words_is_read_again(server: LiveServer, lengths: bytes) -> None:
    known_one = request(b"/api/v1/evaluation", b"X-Test: lengths", body=b'{"flagKey":"a"}')
    with connected(server) as client:
        for _ in range(3):
            client.ask(known_one)
    head, _, _ = known_one.partition(b"Content-Length")
    asked = head + lengths + b"\r\n\r\nabc"
    with connected(server) as client, reading(server) as read:
        client.send(asked)
        server.wait_until(lambda: bool(read))

    assert read == [asked]


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=1200), max_size=6))
def test_long_ones_are_not_kept(values: list[bytes]) -> None:
    heads = KnownHeads()
    for value in values:
        data = b"GET / HTTP/1.1\r\nA: " + value.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n\r\n"
        for _ in range(2):
            heads.learn(data, scope("/"), 0, _OK)

        assert (heads.find(data) is not None) is (len(data) <= 1024)
