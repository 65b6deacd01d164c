"""The subscribers in C count what comes, whatever the pieces, and notice what is wrong; they need a C compiler."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import rivals
from api import Failed
from live import LiveServer
from raw_server import Connection, RawServer, Request
from rivals import Running, floor, numbered, request
from subscribing import Subscribers, blocks, numbers

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n"
EVENT = b'event: flag.toggled\nid: e:100\ndata: {"type":"flag.toggled","revision":"e:100"}\n\n'
#: What makes an event; the servers of these tests know what they send.
PUBLISH = request("POST", "/publish", b"")


@pytest.fixture
def floor_server() -> Iterator[Running]:
    with floor(EVENT) as running:
        yield running


def test_every_subscriber_of_the_floor_gets_every_event_in_order(floor_server: Running) -> None:
    with Subscribers(floor_server.port, 20, floor_server.path) as crowd:
        assert crowd.connect()["connected"] == 20
        found = crowd.events([floor_server.event(number) for number in range(1, 4)])

        assert found["received"] == 60
        assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
        assert numbers(crowd.examine()) == [1, 2, 3]


def test_chunked_streams_of_our_server_are_read(live_server: LiveServer) -> None:
    live_server.http.post("/flags", json={"description": "a", "key": "a", "template": "simple_boolean_flag"})
    port = int(live_server.url.rpartition(":")[2])

    with Subscribers(port, 5, rivals.FULL) as crowd:
        crowd.connect()
        crowd.events([rivals.toggle(1, number) for number in (0, 1, 2)])

        seen = numbers(crowd.examine())
        assert len(seen) == 3
        assert seen == list(range(seen[0], seen[0] + 3))


class Crooked:
    """Streams that get what `piece` says of their number when something is posted."""

    def __init__(self, piece: Callable[[int], list[bytes]], head: bytes = HEAD) -> None:
        self._piece, self._head = piece, head
        self._streams: list[Connection] = []

    def __call__(self, request: Request, connection: Connection) -> None:
        if request.method == "GET":
            self._streams.append(connection)
            connection.send(self._head)
        else:
            for number, stream in enumerate(self._streams):
                for piece in self._piece(number):
                    stream.send(piece)
            connection.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        connection.hang()


@contextmanager
def crooked(piece: Callable[[int], list[bytes]], head: bytes = HEAD) -> Iterator[int]:
    with RawServer(Crooked(piece, head)) as server:
        yield int(server.url.rpartition(":")[2])


def test_an_event_that_does_not_come_is_noticed() -> None:
    with crooked(lambda number: [EVENT] * (number > 0)) as port, Subscribers(port, 3, "/stream", limit=1) as crowd:
        crowd.connect()

        with pytest.raises(Failed, match="2 of 3 events"):
            crowd.events([PUBLISH])


def test_another_event_for_one_of_them_is_noticed() -> None:
    with (
        crooked(lambda number: [numbered(EVENT, 100 + number // 2)]) as port,
        Subscribers(port, 3, "/stream") as crowd,
    ):
        crowd.connect()
        crowd.events([PUBLISH])

        with pytest.raises(Failed, match="other events than the first"):
            crowd.examine()


def test_an_event_that_nobody_asked_for_is_noticed() -> None:
    with (
        crooked(lambda _: [EVENT]) as port,
        Subscribers(port, 3, "/stream", matching=2, other="/quiet") as crowd,
    ):
        crowd.connect()
        # Those who shall get none are read by the time of the second.
        crowd.events([PUBLISH], gap_ms=100)

        with pytest.raises(Failed, match="did not ask"):
            crowd.examine()


def test_a_refused_stream_is_noticed() -> None:
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

    with (
        crooked(lambda _: [], refusal) as port,
        Subscribers(port, 2, "/stream") as crowd,
        pytest.raises(Failed, match="0 of 2 streams"),
    ):
        crowd.connect()


@pytest.mark.parametrize("size", [1, 7, 64])
def test_an_event_may_come_in_chunks_of_any_size(size: int) -> None:
    head = HEAD.replace(b"\r\n\r\n: hello\n\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    parts = [EVENT[at : at + size] for at in range(0, len(EVENT), size)]
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]

    with crooked(lambda _: chunks, head) as port, Subscribers(port, 2, "/stream") as crowd:
        crowd.connect()
        crowd.events([PUBLISH])

        assert crowd.examine() == EVENT


def test_another_number_in_an_event_keeps_its_size() -> None:
    assert numbered(EVENT, 7) == EVENT.replace(b":100", b":007")


def test_greetings_and_signs_of_life_are_no_events() -> None:
    stream = b": hi\n\nevent: connected\ndata: {}\n\n" + EVENT + b"event: heartbeat\ndata: {}\n\n"

    assert blocks(stream) == [EVENT]
