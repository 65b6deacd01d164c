"""Bodies that are read as they arrive, however their end is told: all of it arrives, in order, and nothing else."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct

import httpx2
import pytest
from raw_server import Connection, Request
from sdk_parts import StartRaw, heard

from flagent import TransportError
from flagent.client.config import ClientSettings
from flagent.client.streamed import Stream
from flagent.client.transport import Transport

_BODY = b"".join(b"event: %d\ndata: %s\n\n" % (number, b"x" * (number * 997 % 5000)) for number in range(60))
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def whole(body: bytes) -> bytes:
    return _HEAD + b"\r\n" + body


def sized(body: bytes) -> bytes:
    return _HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(body: bytes) -> bytes:
    pieces = [body[at : at + 700] for at in range(0, len(body), 700)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def compressed(body: bytes) -> bytes:
    return _HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(body)


def in_old_http(body: bytes) -> bytes:
    return whole(body).replace(b"HTTP/1.1", b"HTTP/1.0")


async def read_all(settings: ClientSettings, at_end: bytes = b"") -> bytes:
    """Return the body of a stream; it ends, or as soon as it ends with `at_end`."""
    transport = Transport(settings)
    stream: Stream = await transport.open(settings.root, "/stream", query=(), headers={})
    try:
        async with asyncio.timeout(30):
            found, _ = await heard(stream, until=lambda found: bool(at_end) and found.endswith(at_end))
    finally:
        await transport.close_stream(stream)
        await transport.aclose()
    return found


@pytest.mark.parametrize("form", [whole, sized, chunked, compressed, in_old_http])
@pytest.mark.parametrize("piece", [1 << 20, 1000, 90])
def test_a_body_arrives_whatever_tells_its_end(form: object, piece: int, raw_server: StartRaw) -> None:
    assert callable(form)
    answer_as = form(_BODY)

    def answer(_request: Request, connection: Connection) -> None:
        for at in range(0, len(answer_as), piece):
            connection.send(answer_as[at : at + piece])

    assert asyncio.run(read_all(ClientSettings(root=raw_server(answer).url))) == _BODY


def test_nothing_is_read_behind_a_body_that_tells_its_length(raw_server: StartRaw) -> None:
    def answer(_request: Request, connection: Connection) -> None:
        connection.send(sized(_BODY))
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.hang()

    assert asyncio.run(read_all(ClientSettings(root=raw_server(answer).url))) == _BODY


def test_a_client_of_the_user_that_hides_its_connections_is_read_by_its_own_means() -> None:
    made = httpx2.MockTransport(lambda _request: httpx2.Response(200, content=_BODY))
    settings = ClientSettings(root="http://flags.test", http_client=lambda: httpx2.AsyncClient(transport=made))

    assert asyncio.run(read_all(settings)) == _BODY


def test_a_connection_that_is_reset_in_the_middle_is_named(raw_server: StartRaw) -> None:
    def answer(_request: Request, connection: Connection) -> None:
        connection.send(whole(b"event: 1\n\n"))
        connection.send(b"event: 2\n\n")
        # Taken back by whoever resets it: what was sent has arrived by then.
        opened: socket.socket = connection._socket
        opened.recv(1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        opened.close()

    async def use(url: str) -> None:
        transport = Transport(ClientSettings(root=url))
        stream = await transport.open(url, "/stream", query=(), headers={})
        await heard(stream, until=lambda found: found.endswith(b"event: 2\n\n"))
        opened = socket.socket(fileno=stream.descriptor())
        opened.send(b"!")
        opened.detach()
        try:
            with pytest.raises(TransportError, match="the connection broke") as caught:
                await heard(stream)
            assert caught.value.kind == "network"
        finally:
            await transport.close_stream(stream)
            await transport.aclose()

    asyncio.run(use(raw_server(answer).url))
