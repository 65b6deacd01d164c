"""A stream's connection in our own hands: nothing is lost, and nothing is kept without limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from raw_server import Connection, Request
from sdk_parts import StartRaw
from waiting import until_async

from flagent.client import direct
from flagent.client.config import ClientSettings
from flagent.client.streamed import Stream
from flagent.client.transport import Transport

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
_BODY = b"".join(b"data: %07d\n\n" % number for number in range(250_000))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[Stream, bytes]]:
    """A stream of which the first bytes were read, and these."""
    transport = Transport(ClientSettings(root=url))
    stream = await transport.open(url, "/stream", query=(), headers={})
    try:
        yield stream, await stream.read()
    finally:
        await transport.close_stream(stream)
        await transport.aclose()


def all_at_once(_request: Request, connection: Connection) -> None:
    connection.send(_HEAD + _BODY[:15])
    connection.send(_BODY[15:])


async def is_whole(stream: Stream, first: bytes) -> bool:
    """Read all that comes; return whether it is what was sent."""
    found = bytearray(first)
    while chunk := await stream.read():
        found += chunk
    return found == _BODY


def test_a_connection_waits_for_whoever_does_not_read(raw_server: StartRaw) -> None:
    async def use(url: str) -> None:
        async with opened(url) as (stream, first):
            reader = stream._reader
            assert reader is not None
            await until_async(lambda: reader._paused)
            assert len(reader._received) < direct._MOST + 256 * 1024

            assert await is_whole(stream, first)

    asyncio.run(use(raw_server(all_at_once).url))


def test_a_read_that_is_given_up_loses_nothing(raw_server: StartRaw) -> None:
    async def use(url: str) -> None:
        given_up = 0
        async with opened(url) as (stream, first):
            found = first
            while not found.endswith(b"end"):
                try:
                    async with asyncio.timeout(0.001):
                        found += await stream.read()
                except TimeoutError:
                    given_up += 1

        assert found == b"".join(b"%d," % number for number in range(200)) + b"end"
        assert given_up

    def drip(_request: Request, connection: Connection) -> None:
        connection.send(_HEAD)
        for number in range(200):
            connection._closing.wait(0.002)
            connection.send(b"%d," % number)
        connection.send(b"end")
        connection.hang()

    asyncio.run(use(raw_server(drip).url))


def test_where_the_event_loop_hides_its_transports_the_library_reads(raw_server: StartRaw) -> None:
    async def use(url: str) -> None:
        async with opened(url) as (stream, first):
            assert stream._reader is None

            assert await is_whole(stream, first)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(use(raw_server(all_at_once).url))


def test_a_protocol_of_another_library_is_left_alone(raw_server: StartRaw) -> None:
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

    asyncio.run(use(raw_server(all_at_once).url))
