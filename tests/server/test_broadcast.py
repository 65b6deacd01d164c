"""The broadcaster on its own: with connections that tests can block, and a log that tests can run ahead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from change_log import EPOCH, Log, flag
from sse_messages import Message, parse

from flagent.core.changes import Cursor
from flagent.server.audience import SIZE
from flagent.server.broadcast import Broadcaster
from flagent.server.filters import EVERYTHING, Filter
from flagent.server.hub import Hub
from flagent.server.leaving import drain
from flagent.server.readers import ChangeReader, CompatibleReader
from flagent.server.settings import Settings
from flagent.server.stream import About, EventStreamOutlet, Kind, Stream
from flagent.wire.encodings import FULL

KEY_A = Filter(keys=frozenset({"a"}))


class Connection:
    """The far end of a stream: it keeps what is written, unless it is closed to writing."""

    def __init__(self, scene: Scene, wanted: Filter = EVERYTHING, *, compatible: bool = False) -> None:
        self.written = b""
        self.takes = asyncio.Event()
        self.takes.set()
        self.ended = False
        self.owner = asyncio.create_task(asyncio.Event().wait())
        self.broadcaster = scene.broadcaster
        hub, cursor = scene.hub, scene.hub.cursor
        reader = CompatibleReader(hub, cursor, wanted) if compatible else ChangeReader(hub, cursor, wanted, FULL)
        outlet = EventStreamOutlet(self.send)
        self.stream = Stream(reader, outlet, owner=self.owner, about=About(Kind.SSE, wanted=wanted))
        scene.broadcaster.open(self.stream, (b"hello",))
        self.written = b""

    async def send(self, message: Any) -> None:
        if not self.takes.is_set():
            await self.takes.wait()
        self.written += message["body"]
        self.ended = not message["more_body"]

    def seen(self) -> Cursor:
        # Asked for in this way, every reader is told how far it has got.
        assert self.stream in self.broadcaster.streams
        return self.stream.reader.seen

    def messages(self) -> list[Message]:
        return parse(self.written)


class Scene:
    """A hub that follows a log, and a broadcaster that serves from it."""

    def __init__(self, log: Log, **settings: Any) -> None:
        self.log = log
        self.settings = Settings(**settings)
        self.hub = Hub(log.stored(), ring=self.settings.ring, sync_after=self.settings.sync_after)
        self.broadcaster = Broadcaster(self.hub, self.settings, clock=time.monotonic)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
                await asyncio.sleep(0.001)


def play(scene: Scene, plot: Callable[[Scene], Awaitable[None]]) -> None:
    """Run `plot` while the broadcaster runs."""

    async def whole() -> None:
        running = asyncio.create_task(scene.broadcaster.run())
        try:
            await plot(scene)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(whole())


def test_a_filtered_reader_that_falls_behind_gets_a_net_change_from_where_it_knows_it_is() -> None:
    """What did not pass moved the server's view of the reader, but nobody told the reader."""

    async def plot(scene: Scene) -> None:
        connection = Connection(scene, KEY_A)
        scene.hub.deliver([scene.log.put(flag(2, "b", description="new"))])
        await scene.until(lambda: connection.seen().revision == 1)

        scene.hub.deliver([scene.log.put(flag(1, "a", description=str(number))) for number in range(3)])
        await scene.until(lambda: bool(connection.written))

        (sync,) = connection.messages()
        assert (sync.type, sync.data["from"], sync.id) == ("sync", f"{EPOCH}:0", f"{EPOCH}:4")

    play(Scene(Log(flag(1, "a"), flag(2, "b")), sync_after=2), plot)


def test_a_heartbeat_tells_a_filtered_reader_where_it_is() -> None:
    async def plot(scene: Scene) -> None:
        connection = Connection(scene, KEY_A)
        scene.hub.deliver([scene.log.put(flag(2, "b"))])
        await scene.until(lambda: bool(connection.written))

        assert [(each.type, each.id) for each in connection.messages()] == [("heartbeat", f"{EPOCH}:1")]
        assert connection.stream.reader.cursor == scene.hub.cursor

    play(Scene(Log(flag(1, "a")), heartbeat=0.05), plot)


def test_a_connection_that_takes_nothing_holds_up_nobody_and_then_gets_the_net_change() -> None:
    async def plot(scene: Scene) -> None:
        blocked, other = Connection(scene), Connection(scene)
        blocked.takes.clear()
        for number in range(10):
            scene.hub.deliver([scene.log.put(flag(1, "a", description=str(number)))])
            await scene.until(lambda: len(other.messages()) > number)  # noqa: B023 - waited for at once
        assert blocked.written == b""

        blocked.takes.set()
        await scene.until(lambda: blocked.seen() == scene.hub.cursor)

        assert [each.type for each in blocked.messages()] == ["flag.updated", "sync"]
        assert blocked.stream.pending is None

    play(Scene(Log(), sync_after=2), plot)


def test_a_connection_that_takes_nothing_for_too_long_is_given_up() -> None:
    async def plot(scene: Scene) -> None:
        blocked = Connection(scene)
        blocked.takes.clear()
        scene.hub.deliver([scene.log.put(flag(1, "a"))])

        await scene.until(blocked.owner.cancelled)

        assert scene.broadcaster.stalled == 1
        await scene.broadcaster.close(blocked.stream)
        assert len(scene.broadcaster) == 0

    play(Scene(Log(), write_timeout=0.05), plot)


def test_the_goodbye_is_the_last_that_is_written() -> None:
    async def plot(scene: Scene) -> None:
        full, compatible, blocked = Connection(scene), Connection(scene, compatible=True), Connection(scene)
        blocked.takes.clear()
        scene.hub.deliver([scene.log.put(flag(1, "a"))])
        await scene.until(lambda: bool(full.written))

        await drain(scene.broadcaster, window=0.0, hurried=lambda: True)
        scene.hub.deliver([scene.log.put(flag(2, "b"))])
        await scene.until(blocked.owner.cancelled)

        assert [each.type for each in full.messages()] == ["flag.updated", "goodbye"]
        assert (full.ended, compatible.ended, blocked.ended) == (True, True, False)
        assert compatible.written == b""

    play(Scene(Log()), plot)


def test_goodbyes_spread_the_clients_over_time() -> None:
    async def plot(scene: Scene) -> None:
        connections = [Connection(scene) for _ in range(1000)]

        await drain(scene.broadcaster, window=20.0, hurried=lambda: True)

        waits = [connection.messages()[-1].data["reconnectAfterMs"] for connection in connections]
        assert 1500 < max(waits) <= 2000
        assert len(set(waits)) > 500

    play(Scene(Log()), plot)


def test_the_first_streams_are_told_in_the_call_that_brings_news_and_the_others_by_and_by() -> None:
    async def plot(scene: Scene) -> None:
        connections = [Connection(scene) for _ in range(2 * SIZE + 1)]
        # Then the broadcaster waits for news.
        await asyncio.sleep(0)

        scene.hub.deliver([scene.log.put(flag(1, "a", description="new"))])

        told = [bool(connection.written) for connection in connections]
        assert told == [True] * SIZE + [False] * (SIZE + 1)
        scene.hub.deliver([scene.log.put(flag(1, "a", description="newer"))])
        assert [bool(connection.written) for connection in connections] == told
        await scene.until(lambda: all(connection.seen().revision == 2 for connection in connections))
        assert {tuple(message.id for message in connection.messages()) for connection in connections} == {
            (f"{EPOCH}:1", f"{EPOCH}:2")
        }

    play(Scene(Log(flag(1, "a"))), plot)


def test_whoever_brings_news_does_not_suffer_when_telling_them_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def plot(scene: Scene) -> None:
        connection = Connection(scene)
        await asyncio.sleep(0)

        def fail(_seconds: float) -> None:
            raise RuntimeError("the metric is broken")

        scene.broadcaster.delivered = fail
        for description in ("new", "newer"):
            scene.hub.deliver([scene.log.put(flag(1, "a", description=description))])

        assert [message.id for message in connection.messages()] == [f"{EPOCH}:1", f"{EPOCH}:2"]

    play(Scene(Log(flag(1, "a"))), plot)
    assert "telling streams what is new failed" in caplog.text


def test_many_streams_do_not_keep_others_from_the_event_loop() -> None:
    async def plot(scene: Scene) -> None:
        connections = [Connection(scene) for _ in range(4 * SIZE)]
        turns = 0

        async def other_work() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += not connections[-1].written

        working = asyncio.create_task(other_work())
        await asyncio.sleep(0)
        turns = 0
        scene.hub.deliver([scene.log.put(flag(1, "a"))])
        await scene.until(lambda: bool(connections[-1].written))
        working.cancel()

        assert turns >= 3

    play(Scene(Log()), plot)


def test_what_streams_wait_for_is_forgotten_with_them() -> None:
    async def plot(scene: Scene) -> None:
        for _ in range(50):
            connection = Connection(scene, compatible=True)
            await scene.broadcaster.close(connection.stream)

        await scene.until(lambda: not scene.broadcaster._deadlines)

    play(Scene(Log(flag(1, "a")), heartbeat=0.05, nudge_window=0.05), plot)
