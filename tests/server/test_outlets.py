"""Both ways in which a stream gets to its client, connection taken over or plain ASGI, behave the same."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from live import LiveServer
from raw_client import is_cut, received
from sse_messages import Message, Subscriber
from waiting import until

from flagent.server import takeover
from flagent.server.stream import PIECE, EventStreamOutlet
from flagent.server.taken import Taken
from flagent.server.takeover import missing

Start = Callable[..., LiveServer]

_HEALTH = b"GET /api/v1/health HTTP/1.1\r\nHost: t\r\n\r\n"


@pytest.fixture(params=[Taken, EventStreamOutlet], ids=["taken", "asgi"])
def start(request: pytest.FixtureRequest, start_server: Start, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A function that starts a server whose streams have one kind of outlet."""
    if request.param is EventStreamOutlet:
        # As if this uvicorn were one that nobody has read.
        monkeypatch.setattr(takeover, "_VERSIONS", ((0, 0), (0, 1)))

    def started(**settings: object) -> LiveServer:
        server = start_server(**settings)
        with Subscriber(server.port) as stream:
            stream.next("connected")
            (only,) = server.services.broadcaster.streams
            assert isinstance(only.outlet, request.param)
        server.wait_until(lambda: open_streams(server) == 0)
        return server

    return started


def open_streams(server: LiveServer) -> int:
    return len(server.services.broadcaster)


def connections(server: LiveServer) -> int:
    return len(server._server.server_state.connections)


@contextmanager
def raw(server: LiveServer, request: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(request)
        yield client


def rest(stream: Subscriber) -> list[Message]:
    """Return what comes until the stream ends."""
    messages = []
    with suppress(EOFError):
        while True:
            messages.append(stream.next())
    return messages


def test_greeting_then_changes_then_signs_of_life_then_goodbye(start: Start) -> None:
    server = start(heartbeat=0.3)
    with Subscriber(server.port) as stream:
        first = [stream.next(), stream.next()]
        flag_id = server.create_flag("a")
        server.switch(flag_id, True)
        changes = [stream.next("flag.created", "flag.toggled").type for _ in range(2)]
        sign, cursor = stream.next("heartbeat"), str(server.services.hub.cursor)
        server.stop()
        last = rest(stream)

    assert stream.status == 200
    assert stream.headers["content-type"] == "text/event-stream"
    assert stream.headers["cache-control"] == "no-store, no-transform"
    assert stream.headers["x-accel-buffering"] == "no"
    assert "date" in stream.headers
    assert (first[0].retry, first[1].type) == ("1000", "connected")
    assert changes == ["flag.created", "flag.toggled"]
    assert sign.data["revision"] == cursor
    assert (last[-1].type, last[-1].data["reason"]) == ("goodbye", "drain")


def test_a_client_that_hangs_up_is_noticed_and_forgotten(start: Start) -> None:
    server = start()
    before = connections(server)
    with Subscriber(server.port) as stream:
        stream.next("connected")
        server.wait_until(lambda: connections(server) == before + 1)

    server.wait_until(lambda: open_streams(server) == 0 and connections(server) == before)


def test_a_key_that_is_revoked_ends_its_streams(start: Start) -> None:
    server = start()
    made = server.http.post("/keys", json={"name": "admin", "kind": "admin"}).json()
    other = server.http.post(
        "/keys", json={"name": "b", "kind": "server"}, headers={"X-API-Key": made["secret"]}
    ).json()
    with Subscriber(server.port, headers={"X-API-Key": other["secret"]}) as stream:
        stream.next("connected")
        server.http.delete(f"/keys/{other['id']}", headers={"X-API-Key": made["secret"]}).raise_for_status()

        assert rest(stream)[-1].data["reason"] == "revoked"


def test_a_reader_that_takes_nothing_is_cut_and_holds_up_nobody(start: Start) -> None:
    server = start(write_timeout=0.3)
    flag_id = server.create_flag("a")
    with Subscriber(server.port, receive_buffer=4096) as stalled, Subscriber(server.port) as other:
        stalled.next("connected")
        other.next("connected")
        for number in range(40):
            server.http.put(f"/flags/{flag_id}", json={"notes": f"{number}" * 20_000})
            assert other.next("flag.updated").data["flag"]["notes"].startswith(f"{number}")

        # By us, or by the system, whose limit is the same.
        server.wait_until(lambda: open_streams(server) == 1)
        server.switch(flag_id, True)
        assert other.next().type == "flag.toggled"


def test_what_is_kept_for_a_slow_reader_has_a_bound(start: Start) -> None:
    server = start(write_timeout=60.0)
    flag_id = server.create_flag("a")
    with Subscriber(server.port, receive_buffer=4096) as slow:
        slow.next("connected")
        for number in range(40):
            server.http.put(f"/flags/{flag_id}", json={"notes": f"{number:02}" * 50_000}).raise_for_status()
        (stream,) = server.services.broadcaster.streams
        kept = server.call(stream.unsent)

        # 4 MB were written since; a piece, what fills the connection, and one message are kept.
        assert 0 < kept < 2 * PIECE + 110_000
        messages = [slow.next("flag.updated", "sync")]
        while not last_notes(messages[-1]).startswith("39"):
            messages.append(slow.next("flag.updated", "sync"))
        server.switch(flag_id, True)
        assert slow.next().type == "flag.toggled"


def last_notes(message: Message) -> str:
    return str((message.data.get("flag") or message.data["flags"][-1])["notes"])


def test_bytes_that_a_client_sends_into_its_stream_reach_nobody(start: Start) -> None:
    server = start()
    with Subscriber(server.port) as talker, Subscriber(server.port) as other:
        talker.next("connected")
        other.next("connected")
        with suppress(ConnectionError):
            for _ in range(200):
                talker.socket.sendall(b"nobody listens to this\r\n\r\n" * 100)

        assert is_cut(talker.socket)
        server.create_flag("a")
        assert other.next().type == "flag.created"
    server.wait_until(lambda: open_streams(server) == 0)


def test_a_second_request_that_was_sent_too_early_does_not_keep_the_stream_from_its_events(start: Start) -> None:
    server = start()
    with raw(server, b"GET /realtime/sse?payload=flag HTTP/1.1\r\nHost: t\r\n\r\n" + _HEALTH) as client:
        received(client, b"event: connected")
        server.create_flag("a")

        received(client, b"flag.created")


def test_a_client_of_http_1_0_is_served(start: Start) -> None:
    server = start()
    with raw(server, b"GET /realtime/sse?payload=flag HTTP/1.0\r\n\r\n") as client:
        head = received(client, b"event: connected").lower()
        server.create_flag("a")
        received(client, b"flag.created")
        server.stop()

        assert is_cut(client)
    assert b" 200 ok\r\n" in head and b"connection: close\r\n" in head


def test_head_tells_the_headers_and_leaves_the_connection_as_it_was(start: Start) -> None:
    server = start()
    with raw(server, b"HEAD /realtime/sse HTTP/1.1\r\nHost: t\r\n\r\n") as client:
        head = received(client, b"\r\n\r\n")
        client.sendall(_HEALTH)

        assert b"text/event-stream" in head
        assert received(client, b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK")
    assert open_streams(server) == 0


def test_a_stream_may_begin_on_a_connection_that_was_used_before(start: Start) -> None:
    server = start()
    with raw(server, _HEALTH) as client:
        received(client, b"}")
        client.sendall(b"GET /realtime/sse?payload=flag HTTP/1.1\r\nHost: t\r\n\r\n")
        received(client, b"event: connected")
        server.create_flag("a")

        received(client, b"flag.created")


def test_a_client_that_asked_to_be_closed_gets_its_stream_first(start: Start) -> None:
    server = start()
    with Subscriber(server.port, headers={"Connection": "close"}) as stream:
        stream.next("connected")
        server.create_flag("a")
        assert stream.next().type == "flag.created"
        server.stop()

        assert stream.headers["connection"] == "close"
        assert rest(stream)[-1].type == "goodbye"


def test_a_page_of_another_origin_may_read_its_stream(start: Start) -> None:
    server = start(cors_origins="https://app.example")
    with Subscriber(server.port, headers={"Origin": "https://app.example"}) as stream:
        stream.next("connected")
        server.create_flag("a")

        assert stream.next().type == "flag.created"
        assert stream.headers["access-control-allow-origin"] == "https://app.example"


def test_a_server_that_ends_does_not_wait_for_a_stream_that_takes_nothing(start: Start) -> None:
    server = start(write_timeout=60.0)
    flag_id = server.create_flag("a")
    with Subscriber(server.port, receive_buffer=4096) as stalled:
        stalled.next("connected")
        for number in range(10):
            server.http.put(f"/flags/{flag_id}", json={"notes": f"{number}" * 100_000}).raise_for_status()
        (stream,) = server.services.broadcaster.streams
        assert server.call(stream.unsent) > 0

        # Fails when it takes longer than it may.
        server.stop()
        assert connections(server) == 0


def test_the_body_of_a_request_for_one_entity_is_read_before(start: Start) -> None:
    server = start()
    server.create_flag("a", enabled=True)
    body = b'{"entityID":"u1"}'
    head = b"POST /realtime/evaluations HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(body)
    with raw(server, head) as client:
        client.sendall(body)
        received(client, b"event: evaluations")
        server.http.put("/flags/1/enabled", json={"enabled": False}).raise_for_status()

        received(client, b"event: evaluation\n")


def evaluation(*headers: bytes, version: bytes = b"1.1") -> bytes:
    body = b'{"entityID":"u1","flagKey":"a"}'
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join((b"POST /api/v1/evaluation HTTP/" + version, b"Host: t", *headers, length, b"", body))


class TestWholeAnswers:
    """Answers of hot routes, which are written in one piece where that can be."""

    def test_requests_that_come_at_once_are_answered_in_their_order(self, start: Start) -> None:
        server = start()
        with raw(server, _HEALTH + evaluation() + _HEALTH + evaluation(b"Connection: close")) as client:
            answers = b""
            while chunk := client.recv(65536):
                answers += chunk

        kinds = [b"evalContext" in each for each in answers.split(b"HTTP/1.1 200 OK\r\n")[1:]]
        assert kinds == [False, True, False, True]

    @pytest.mark.parametrize(
        "request_bytes",
        [evaluation(b"Connection: close"), evaluation(version=b"1.0")],
        ids=["asked to", "HTTP/1.0"],
    )
    def test_the_connection_ends_when_it_has_to(self, start: Start, request_bytes: bytes) -> None:
        server = start()
        with raw(server, request_bytes) as client:
            head = received(client, b"}}").lower()

            assert is_cut(client)
        assert b"connection: close\r\n" in head and b"date: " in head

    def test_it_stays_open_otherwise_and_what_has_no_body_has_no_length(self, start: Start) -> None:
        server = start()
        get = b"GET /api/v1/export/eval_cache/json HTTP/1.1\r\nHost: t\r\n"
        with raw(server, get + b"\r\n") as client:
            first = received(client, b"}").lower()
            tag = first.partition(b"etag: ")[2].partition(b"\r\n")[0]
            client.sendall(get + b"If-None-Match: " + tag + b"\r\n\r\n")
            unchanged = received(client, b"\r\n\r\n")
            client.sendall(_HEALTH)

            assert received(client, b"}").startswith(b"HTTP/1.1 200 OK")
        assert unchanged.startswith(b"HTTP/1.1 304 Not Modified\r\n")
        assert b"content-length" not in unchanged.lower()


class TestMissing:
    """What is looked for in uvicorn when the server starts."""

    def test_nothing_is_missing_in_the_one_that_is_installed(self) -> None:
        assert missing() == ""

    def test_a_version_that_nobody_has_read_is_not_trusted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(takeover, "version", lambda _: "0.99.1")

        assert missing() == "uvicorn 0.99.1 is not one that this was written for"

    def test_a_name_that_is_gone_is_found_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(takeover, "_USED", ((Taken.shutdown, {"transport", "no_such_name"}),))

        assert "Taken.shutdown" in missing() and "no_such_name" in missing()

    def test_it_is_said_once_and_not_for_each_stream(
        self, start_server: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(takeover, "_VERSIONS", ((0, 0), (0, 1)))
        with caplog.at_level(logging.WARNING, "flagent.server"):
            server = start_server()
            for _ in range(3):
                with Subscriber(server.port) as stream:
                    stream.next("connected")

        assert caplog.text.count("streams and evaluations cost more than they need to") == 1


def test_a_taken_stream_costs_no_task_and_little_memory(start_server: Start) -> None:
    server = start_server()
    before = len(server._server.server_state.tasks)
    with Subscriber(server.port) as stream:
        stream.next("connected")

        until(lambda: len(server._server.server_state.tasks) == before)
        (only,) = server.services.broadcaster.streams
        assert only.owner is None
