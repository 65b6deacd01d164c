"""HTTP: requests with a whole answer, and streams. Only its neighbours import the library that does it, too.

Every foreign exception leaves here as one of ours. Redirects are followed within the origin only,
so that a key never reaches another one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..errors import DecodeError, HTTPStatusError
from ..version import __version__
from .config import ClientSettings
from .daemons import in_daemon_thread
from .failures import is_tls
from .heads import check_coding, redirected
from .http_library import make_client
from .key_source import KeySource
from .small_pieces import read_in_small_pieces
from .streamed import Stream, translated

if TYPE_CHECKING:
    import httpx2

CONNECT_TIMEOUT = 10.0
#: Seconds until the head of an answer must be there, once connected.
HEADER_TIMEOUT = 10.0

_UNAUTHORIZED = 401
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

Query = Sequence[tuple[str, str]]


class Answer(NamedTuple):
    """A whole answer: names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """The connections of one event loop to one server.

    Attributes:
        settings: how to reach the server.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self._client: httpx2.AsyncClient | None = None
        self._retired: list[httpx2.AsyncClient] = []
        self._making = asyncio.Lock()
        self._key = KeySource(settings.api_key)
        self._streams: set[Stream] = set()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: float,
        max_bytes: int,
    ) -> Answer:
        """Send a request and return the whole answer, whatever its status is.

        Args:
            method: HTTP method.
            path: below the server's root.
            query: parameters of the query.
            headers: more headers.
            content: a JSON document as body.
            timeout: most seconds that all of it may take.
            max_bytes: largest body that is accepted, decompressed.

        Raises:
            TransportError: no answer came.
            DecodeError: the body is larger than `max_bytes`.
        """
        url = self.settings.root + path
        with translated(f"{method} {url}", timeout):
            async with asyncio.timeout(timeout):
                response = await self._open(method, url, query, headers, content)
                try:
                    body = await _body(response, max_bytes)
                finally:
                    await response.aclose()
        return Answer(response.status_code, response.headers, body)

    async def open(self, root: str, path: str, *, query: Query, headers: Mapping[str, str]) -> Stream:
        """Send a GET and return as soon as the head of the answer is there.

        Raises:
            TransportError: none came.
        """
        url = root + path
        timeout = CONNECT_TIMEOUT + HEADER_TIMEOUT
        with translated(f"GET {url}", timeout):
            async with asyncio.timeout(timeout):
                response = await self._open("GET", url, query, headers, None)
        stream = Stream(response)
        read_in_small_pieces(stream.descriptor())
        self._streams.add(stream)
        return stream

    async def close_stream(self, stream: Stream) -> None:
        """Close a stream that `open` returned."""
        self._streams.discard(stream)
        await stream.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        clients = [*self._retired, self._client]
        self._retired, self._client = [], None
        for client in clients:
            if client is not None:
                await client.aclose()

    def let_go(self) -> None:
        """Give up the sockets that a forked child has from its parent, without a word on them.

        While the child held them, the parent's connections would not end when the parent closes them.
        """
        descriptors = [descriptor for stream in self._streams if (descriptor := stream.descriptor()) >= 0]
        if not descriptors:
            return
        # Its number may be needed for the null device: there may be no other one to be had.
        os.close(descriptors[0])
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in descriptors:
            # Not closed: its object still has the number, and would close whatever has it by then.
            if descriptor != null:
                os.dup2(null, descriptor, inheritable=False)
        if null not in descriptors:
            os.close(null)

    async def _forget_certificates(self) -> None:
        """Read them anew for the next connection: they may be replaced by then."""
        client, self._client = self._client, None
        if client is None:
            return
        if self._streams:
            # It has a connection that works.
            self._retired.append(client)
        else:
            await client.aclose()

    async def _open(
        self, method: str, url: str, query: Query, headers: Mapping[str, str] | None, content: bytes | None
    ) -> httpx2.Response:
        key = await self._key.current()
        try:
            response = await self._sent(method, url, query, self._headers(headers, content, key), content)
        except Exception as exc:
            if is_tls(exc):
                await self._forget_certificates()
            raise
        if response.status_code == _UNAUTHORIZED and await self._key.replaced(key):
            # The key was replaced by another one, which its source has by now.
            await response.aclose()
            key = await self._key.current()
            response = await self._sent(method, url, query, self._headers(headers, content, key), content)
        return response

    async def _sent(
        self, method: str, url: str, query: Query, headers: dict[str, str], content: bytes | None
    ) -> httpx2.Response:
        client = await self._http()
        request = client.build_request(method, url, params=tuple(query) or None, headers=headers, content=content)
        # How long reading may take depends on what is read: that limit is the caller's.
        request.extensions["timeout"] = {
            "connect": CONNECT_TIMEOUT,
            "read": None,
            "write": HEADER_TIMEOUT,
            "pool": 10.0,
        }
        for _ in range(_MAX_REDIRECTS + 1):
            response = await client.send(request, stream=True, follow_redirects=False)
            if response.status_code not in _REDIRECTS:
                await check_coding(client, response)
                return response
            await response.aclose()
            request = redirected(request, response)
        raise HTTPStatusError(f"{method} {url}: more than {_MAX_REDIRECTS} redirects", status=response.status_code)

    def _headers(self, more: Mapping[str, str] | None, content: bytes | None, key: str | None) -> dict[str, str]:
        headers = {"User-Agent": f"flagent-python/{__version__}", "Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return {**headers, **(more or {})}

    async def _http(self) -> httpx2.AsyncClient:
        async with self._making:
            if self._client is None:
                # The import and the certificates take a tenth of a second, which the event loop may not have.
                self._client = await in_daemon_thread(
                    "flagent certificates", partial(make_client, self.settings), finish=True
                )
        return self._client


async def _body(response: httpx2.Response, max_bytes: int) -> bytes:
    parts, size = [], 0
    chunks = response.aiter_bytes()
    try:
        async for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise DecodeError(f"the answer of {response.url.copy_with(query=None)} has more than {max_bytes} bytes")
            parts.append(chunk)
    finally:
        await chunks.aclose()
    return b"".join(parts)
