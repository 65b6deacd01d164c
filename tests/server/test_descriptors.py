"""Writing to connections past their transports: who takes it, who does not, and that nobody else ever gets a byte."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any

import pytest
from live import LiveServer
from manual_clock import Clock
from sse_messages import parse

from flagent.server.descriptors import Descriptors

Start = Callable[..., LiveServer]
_BODY = b"event: a\ndata: b\n\n"
_STREAM = b"GET /realtime/sse?payload=flag HTTP/1.1\r\nHost: t\r\n\r\n"


class Pairs:
    """Connections with both of their ends."""

    def __init__(self, number: int) -> None:
        self.pairs = [socket.socketpair() for _ in range(number)]
        for near, _ in self.pairs:
            near.setblocking(False)

    @property
    def descriptors(self) -> list[int]:
        return [near.fileno() for near, _ in self.pairs]

    def received(self, number: int) -> bytes:
        """Return all that has come to a far end, and leaves it empty."""
        found, far = b"", self.pairs[number][1]
        far.setblocking(False)
        with suppress(BlockingIOError):
            while chunk := far.recv(65536):
                found += chunk
        return found

    def fill(self, number: int) -> None:
        """Write until a connection takes nothing more."""
        with suppress(BlockingIOError):
            while True:
                self.pairs[number][0].send(bytes(100))

    def close(self) -> None:
        for pair in self.pairs:
            for end in pair:
                end.close()


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    with closing(Pairs(60)) as made:
        yield made


def test_everybody_gets_the_bytes(pairs: Pairs) -> None:
    untaken = Descriptors(Clock()).write(pairs.descriptors, _BODY)

    assert untaken == {}
    assert {pairs.received(number) for number in range(60)} == {_BODY}


def test_one_that_is_full_and_one_that_is_broken_are_named_and_the_others_served(pairs: Pairs) -> None:
    pairs.fill(7)
    pairs.pairs[30][1].close()

    untaken = Descriptors(Clock()).write(pairs.descriptors, _BODY)

    assert untaken[pairs.descriptors[7]] == 0
    assert isinstance(untaken[pairs.descriptors[30]], ConnectionError)
    assert len(untaken) == 2
    others = set(range(60)) - {7, 30}
    assert {pairs.received(number) for number in others} == {_BODY}


def test_what_was_taken_of_a_body_is_told(pairs: Pairs) -> None:
    large = random.Random(1).randbytes(4 << 20)

    taken = Descriptors(Clock()).write(pairs.descriptors[:1], large)[pairs.descriptors[0]]

    assert isinstance(taken, int) and 0 < taken < len(large)
    assert pairs.received(0) == large[:taken]


def test_a_process_that_computes_in_other_threads_is_left_to_the_transports_for_a_while(pairs: Pairs) -> None:
    clock = Clock()
    slow = iter([0.0] + [1.0] * 3)

    def passing() -> float:
        # Each look at the clock finds a second gone, as if others had had the interpreter meanwhile.
        clock.now += next(slow, 0.0)
        return clock()

    descriptors = Descriptors(passing)
    untaken = descriptors.write(pairs.descriptors, _BODY)
    written = set(pairs.descriptors) - set(untaken)
    again = descriptors.write(pairs.descriptors, _BODY)
    clock.now += 10.0
    later = descriptors.write(pairs.descriptors, _BODY)

    assert set(untaken.values()) == {0} and 0 < len(written) < len(untaken)
    assert again == dict.fromkeys(pairs.descriptors, 0)
    assert later == {}
    got = {descriptor: pairs.received(number) for number, descriptor in enumerate(pairs.descriptors)}
    assert got == {each: _BODY * (2 if each in written else 1) for each in pairs.descriptors}


@pytest.fixture(params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest, start_server: Start, monkeypatch: pytest.MonkeyPatch) -> LiveServer:
    """A server on one of the event loops."""
    if request.param == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)
    elif sys.platform == "win32":
        pytest.skip("there is no uvloop")
    started = start_server(heartbeat=0.05)
    assert type(started._loop).__module__.partition(".")[0] == request.param
    return started


class Clients:
    """Streams that come and end in every way, and connections that ask for nothing, which take their descriptors."""

    def __init__(self, server: LiveServer) -> None:
        self.failures: list[str] = []
        self.lasting = [self._stream(server) for _ in range(10)]
        self._server = server
        self._brief: list[socket.socket] = []
        self._silent: list[socket.socket] = []

    @staticmethod
    def _stream(server: LiveServer) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        client.sendall(_STREAM)
        return client

    def churn(self) -> None:
        """Let streams begin, and end half of them from either side while changes go out."""
        self._brief = [self._stream(self._server) for _ in range(20)]
        broadcaster = self._server.services.broadcaster
        self._server.wait_until(lambda: len(broadcaster) >= 30)
        for client in self._brief[:5]:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

        def end() -> None:
            mine = {client.getsockname()[1] for client in self._brief[5:]}
            found = [each for each in broadcaster.streams if int(each.address.rpartition(":")[2]) in mine]
            for position, stream in enumerate(found):
                assert stream.transport is not None
                if position % 3 == 0:
                    broadcaster.end(stream, "revoked", 0.0)
                elif position % 3 == 1:
                    stream.transport.abort()
                else:
                    stream.transport.close()

        self._server.call(end)
        revision = self._server.services.hub.cursor.revision
        self._silent += [socket.create_connection(("127.0.0.1", self._server.port), timeout=10) for _ in range(20)]
        for client in self._brief[5:]:
            read(client)
            client.close()
        self._server.wait_until(lambda: self._server.services.hub.cursor.revision > revision + 2)

    def heard(self) -> list[bytes]:
        """Return what came to those that had asked for nothing."""
        found = []
        for client in self._silent:
            client.setblocking(False)
            with suppress(BlockingIOError):
                found.append(client.recv(65536))
        return found

    def close(self) -> None:
        for client in (*self.lasting, *self._brief, *self._silent):
            client.close()


def read(client: socket.socket) -> bytes:
    """Return all that comes until the connection ends."""
    found = b""
    with suppress(ConnectionError):
        while chunk := client.recv(65536):
            found += chunk
    return found


def wrong(server: LiveServer) -> list[str]:
    """Return descriptors that streams would be written to although they are not theirs, or something is buffered."""
    found = []
    audiences = {stream.audience for stream in server.services.broadcaster.streams if stream.audience is not None}
    for stream, descriptor in (pair for audience in audiences for pair in audience.direct.items()):
        assert stream.transport is not None
        own = stream.transport.get_extra_info("socket").fileno()
        if own != descriptor or stream.unsent():
            found.append(f"{descriptor}, but the stream has {own} and {stream.unsent()} bytes are buffered")
    return found


async def watch(server: LiveServer, ended: threading.Event, found: list[str]) -> None:
    """Look at every turn of the event loop."""
    while not ended.is_set():
        found += wrong(server)
        await asyncio.sleep(0)


def test_streams_that_end_in_the_middle_of_changes_leave_their_descriptors_to_nobody(server: LiveServer) -> None:
    flag_id, broadcaster = server.create_flag("a"), server.services.broadcaster
    ended, found = threading.Event(), []  # type: ignore[var-annotated]

    def switch() -> None:
        for number in range(100_000):
            if ended.is_set():
                return
            server.switch(flag_id, number % 2 == 0)

    with ExitStack() as stack:
        clients = stack.enter_context(closing(Clients(server)))
        watching: Any = asyncio.run_coroutine_threadsafe(watch(server, ended, found), server._loop)
        switching = threading.Thread(target=switch)
        switching.start()
        try:
            for _ in range(5):
                clients.churn()
        finally:
            ended.set()
            switching.join()
            watching.result(10)
        heard = clients.heard()
        server.stop()
        lasting = [read(client) for client in clients.lasting]

    assert found == []
    assert heard == []
    assert broadcaster.failed == 0
    for whole in lasting:
        told = [message for message in parse(whole.partition(b"\r\n\r\n")[2]) if message.type == "flag.toggled"]
        revisions = [int(message.id.rpartition(":")[2]) for message in told]
        assert revisions == list(range(revisions[0], revisions[0] + len(revisions)))
        assert len(revisions) > 10
