"""A stream's connection in our own hands: nothing is lost, and nothing is kept without limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from live import LiveServer
from raw_server import Connection, Request
from sdk_parts import StartRaw, heard
from waiting import until, until_async

from flagent import AsyncOfflineManager, OfflineConfig
from flagent.client import direct
from flagent.client.config import ClientSettings
from flagent.client.direct import DirectReader
from flagent.client.hearing import Ending
from flagent.client.streamed import Stream
from flagent.client.transport import Transport

#: Runs something to its end on one of the event loops.
Run = Callable[[Coroutine[Any, Any, Any]], Any]

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
_BODY = b"".join(b"data: %07d\n\n" % number for number in range(250_000))


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


def something(found: bytes) -> bool:
    return bool(found)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[Stream, bytes]]:
    """A stream of which the first bytes were heard, and these."""
    transport = Transport(ClientSettings(root=url))
    stream = await transport.open(url, "/stream", query=(), headers={})
    try:
        first, _ = await heard(stream, until=something)
        yield stream, first
    finally:
        await transport.close_stream(stream)
        await transport.aclose()


def reader_of(stream: Stream) -> DirectReader:
    assert stream._reader is not None
    return stream._reader


def all_at_once(_request: Request, connection: Connection) -> None:
    connection.send(_HEAD + _BODY[:15])
    connection.send(_BODY[15:])


def says(*pieces: bytes) -> Callable[[Request, Connection], None]:
    """Answer with a stream of these pieces, that does not end."""

    def answer(_request: Request, connection: Connection) -> None:
        connection.send(_HEAD + pieces[0])
        for piece in pieces[1:]:
            connection._closing.wait(0.02)
            connection.send(piece)
        connection.hang()

    return answer


async def is_whole(stream: Stream, first: bytes) -> bool:
    """Hear all that comes; return whether it is what was sent."""
    rest, ending = await heard(stream)
    return ending is Ending.ENDED and first + rest == _BODY


def test_a_connection_waits_while_nobody_listens(raw_server: StartRaw, run: Run) -> None:
    async def use(url: str) -> None:
        async with opened(url) as (stream, first):
            reader = reader_of(stream)
            await until_async(lambda: reader._paused)
            assert len(reader._received) < direct._MOST + 256 * 1024

            assert await is_whole(stream, first)

    run(use(raw_server(all_at_once).url))


def test_who_stops_listening_loses_nothing(raw_server: StartRaw, run: Run) -> None:
    async def use(url: str) -> None:
        stopped = 0
        async with opened(url) as (stream, first):
            found = bytearray(first)

            def hear(piece: bytes) -> bool:
                found.extend(piece)
                # Every third piece is enough for a moment.
                return len(found) % 3 > 0

            while not found.endswith(b"end"):
                try:
                    async with asyncio.timeout(0.001):
                        await stream.listen(hear, lambda: 30.0)
                except TimeoutError:
                    stopped += 1

        assert found == b"".join(b"%d," % number for number in range(200)) + b"end"
        assert stopped

    def drip(_request: Request, connection: Connection) -> None:
        connection.send(_HEAD)
        for number in range(200):
            connection._closing.wait(0.002)
            connection.send(b"%d," % number)
        connection.send(b"end")
        connection.hang()

    run(use(raw_server(drip).url))


def test_what_arrives_is_heard_in_the_call_that_brings_it(raw_server: StartRaw, run: Run) -> None:
    async def use(url: str) -> None:
        async with opened(url) as (stream, _):
            reader, tasks = reader_of(stream), []

            def hear(_piece: bytes) -> bool:
                tasks.append(asyncio.current_task())
                return False

            listening = asyncio.create_task(stream.listen(hear, lambda: 30.0))
            await until_async(lambda: reader._listening is not None or listening.done())
            assert await listening is Ending.ENOUGH

        assert tasks == [None]

    run(use(raw_server(says(b"1", b"2")).url))


def test_what_comes_after_enough_is_kept(raw_server: StartRaw, run: Run) -> None:
    async def use(url: str) -> None:
        async with opened(url) as (stream, first):
            second, ending = await heard(stream, until=something)
            assert ending is Ending.ENOUGH
            reader = reader_of(stream)
            await until_async(lambda: first + second + bytes(reader._received) == b"123")

            assert await heard(stream, until=something) == (b"123"[len(first + second) :], Ending.ENOUGH)

    run(use(raw_server(says(b"1", b"2", b"3")).url))


def test_what_hearing_raises_is_raised_where_it_is_listened(raw_server: StartRaw, run: Run) -> None:
    async def use(url: str) -> None:
        async with opened(url) as (stream, _):

            def hear(_piece: bytes) -> bool:
                raise ConnectionResetError("this is no connection's")

            with pytest.raises(ConnectionResetError, match="no connection's"):
                await stream.listen(hear, lambda: 30.0)
            assert reader_of(stream).error is None

    run(use(raw_server(says(b"1", b"2")).url))


def test_silence_ends_it(raw_server: StartRaw, run: Run) -> None:
    async def use(url: str) -> None:
        async with opened(url) as (stream, _):
            assert await heard(stream, left=0.05) == (b"", Ending.SILENT)

    run(use(raw_server(says(b"1")).url))


def test_silence_counts_from_the_last_piece(raw_server: StartRaw, run: Run) -> None:
    async def use(url: str) -> None:
        now = asyncio.get_running_loop().time
        async with opened(url) as (stream, _):
            heard_at = now()

            def hear(_piece: bytes) -> bool:
                nonlocal heard_at
                heard_at = now()
                return True

            began = now()
            assert await stream.listen(hear, lambda: heard_at + 1.0 - now()) is Ending.SILENT
            assert now() >= heard_at + 1.0 > began + 1.0

    run(use(raw_server(says(b"1", *[b"2"] * 10)).url))


def test_where_no_transport_is_to_be_found_the_library_reads(
    raw_server: StartRaw, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "transport_of", lambda _descriptor: None)
    monkeypatch.setattr(direct, "_within", lambda _connection, _descriptor: None)

    async def use(url: str) -> None:
        async with opened(url) as (stream, first):
            assert stream._reader is None

            assert await is_whole(stream, first)

    run(use(raw_server(all_at_once).url))


def test_a_protocol_of_another_library_is_left_alone(raw_server: StartRaw, run: Run) -> None:
    async def use(url: str) -> None:
        reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        writer.write(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        connection = writer.transport
        try:
            assert direct.take(connection, connection.get_extra_info("socket").fileno()) is None
            assert direct.take(connection, -1) is None

            assert await reader.readexactly(len(_HEAD)) == _HEAD
        finally:
            writer.close()

    run(use(raw_server(all_at_once).url))


def test_a_busy_event_loop_takes_no_stream_for_dead(start_server: Callable[..., LiveServer], run: Run) -> None:
    server = start_server(heartbeat=0.2)
    broadcaster = server.services.broadcaster

    async def use() -> list[int]:
        async with AsyncOfflineManager(server.url, OfflineConfig(auto_refresh=False)) as manager:
            await manager.enable_realtime_updates()
            written = broadcaster.written
            # Several times as long as the stream may be silent, nobody else has a turn on this event loop.
            until(lambda: broadcaster.written > written + 1500)
            age = manager.snapshot_age
            assert age is not None
            assert age > 0.6
            await until_async(lambda: manager.is_realtime_enabled() and (manager.snapshot_age or 9.0) < 0.4)
            return [stream.number for stream in broadcaster.streams]

    assert run(use()) == [1]
