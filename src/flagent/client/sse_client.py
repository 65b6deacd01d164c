"""The stream on its own: events, for programs that keep no flags. `OfflineManager` is what most programs want.

After a lost connection the stream goes on where it ended, so that nothing is missed; where the
server can't bridge the gap any more, `gaps` counts it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import Self

from ..errors import Closed
from ..wire.codec import FlagEvent
from .api_keys import ApiKey
from .buffer import Buffer
from .config import ClientSettings, HTTPClientFactory
from .event_stream import EventStream, StreamClient
from .loading import STREAMS
from .loop_thread import STOP_TIMEOUT, LoopThread
from .sse_config import SSEConfig
from .tls import TLS


class SSEClient(StreamClient):
    """Receives the changes of a server as events. Making one does no I/O; `connect` starts a daemon thread.

        with SSEClient("http://localhost:18000") as client:
            client.connect()
            for event in client.events():
                print(event.type, event.flag_key)

    A forked child has no connection; it may connect by itself.

    Args:
        base_url: URL of the server, with or without `/api/v1`.
        config: how to behave.
        http_client: makes the HTTP client, for what the other arguments can't say:
            `lambda: httpx2.AsyncClient(verify=context)`.
        api_key: sent as `Authorization: Bearer <key>`; a path is the file that has it, a function returns it, and
            both are asked again when the server refuses the key.
        tls: certificates to trust and to show; None trusts those of the system.
        proxy: URL of the proxy; None for what the environment says (`HTTPS_PROXY`, `NO_PROXY`, …).

    Raises:
        ConfigurationError: an argument can't be used.
    """

    def __init__(
        self,
        base_url: str,
        config: SSEConfig | None = None,
        http_client: HTTPClientFactory | None = None,
        *,
        api_key: ApiKey | None = None,
        tls: TLS | None = None,
        proxy: str | None = None,
    ) -> None:
        settings = ClientSettings(root=base_url, api_key=api_key, tls=tls, proxy=proxy, http_client=http_client)
        super().__init__(settings, config)
        self._thread: LoopThread | None = None
        self._news = threading.Condition()

    def connect(
        self, flag_keys: Iterable[str] | None = None, flag_ids: Iterable[int] | None = None, timeout: float = 10.0
    ) -> None:
        """Connect, and return when the stream is up; a stream that is there already is ended first.

        Args:
            flag_keys: only events of flags with one of these keys; None or nothing for all.
            flag_ids: only events of flags with one of these ids; None or nothing for all.
            timeout: how many seconds to wait; 0 returns at once.

        Raises:
            FlagentError: the stream was not up in time, or it gave up, for this reason. Unless it gave up, it
                goes on trying: call `disconnect` to end that.
        """
        self.disconnect()
        news = self._news
        thread = LoopThread(f"flagent stream of {self._settings.root}", self._begin_anew, STREAMS)
        stream = self._new(flag_keys, flag_ids, Buffer(self._config.event_buffer_size, lambda: _notify(news)))
        self._thread, self._stream = thread, stream
        thread.call(stream.begin(timeout), timeout)

    def events(self) -> Iterator[FlagEvent]:
        """Yield events as they arrive; end when the stream ends for good, after the last of them.

        Several threads may iterate: each event goes to one of them.

        Raises:
            Closed: `connect` was not called.
        """
        stream = self._stream
        if stream is None:
            raise Closed("there is no stream: call connect() first")
        return self._events_of(stream.buffer)

    def disconnect(self) -> None:
        """End the stream, within 2 seconds, and with it whoever iterates over its events; more than once does no harm.

        It may be called from any thread.
        """
        thread, stream = self._thread, self._stream
        if thread is not None and stream is not None:
            thread.stop(stream.close)
            stream.buffer.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()

    def __del__(self) -> None:
        thread, stream = getattr(self, "_thread", None), getattr(self, "_stream", None)
        if thread is None or stream is None or not thread.runs or sys.is_finalizing():
            return
        warnings.warn(f"{self!r} was forgotten without disconnect()", ResourceWarning, stacklevel=2, source=self)
        thread.stop(stream.close, 0.0)

    def _events_of(self, buffer: Buffer) -> Iterator[FlagEvent]:
        while True:
            with self._news:
                # Without a limit: it is woken by an event, or by the end of the stream.
                self._news.wait_for(lambda: buffer.ended or len(buffer))
            event = buffer.take()
            if event is not None:
                yield event
            elif buffer.ended:
                return

    def _begin_anew(self) -> None:
        """Begin life in a forked child: without a connection."""
        if self._stream is not None:
            self._stream.let_go()
        self._thread = self._stream = None
        self._news = threading.Condition()


class AsyncSSEClient(StreamClient):
    """Receives the changes of a server as events, on one event loop. Making one does no I/O; `connect` does.

        async with AsyncSSEClient("http://localhost:18000") as client:
            await client.connect()
            async for event in client.events():
                print(event.type, event.flag_key)

    Args:
        base_url: URL of the server, with or without `/api/v1`.
        config: how to behave.
        http_client: makes the HTTP client, for what the other arguments can't say:
            `lambda: httpx2.AsyncClient(verify=context)`.
        api_key: sent as `Authorization: Bearer <key>`; a path is the file that has it, a function returns it, and
            both are asked again when the server refuses the key.
        tls: certificates to trust and to show; None trusts those of the system.
        proxy: URL of the proxy; None for what the environment says (`HTTPS_PROXY`, `NO_PROXY`, …).

    Raises:
        ConfigurationError: an argument can't be used.
    """

    def __init__(
        self,
        base_url: str,
        config: SSEConfig | None = None,
        http_client: HTTPClientFactory | None = None,
        *,
        api_key: ApiKey | None = None,
        tls: TLS | None = None,
        proxy: str | None = None,
    ) -> None:
        settings = ClientSettings(root=base_url, api_key=api_key, tls=tls, proxy=proxy, http_client=http_client)
        super().__init__(settings, config)
        self._news = asyncio.Event()

    async def connect(
        self, flag_keys: Iterable[str] | None = None, flag_ids: Iterable[int] | None = None, timeout: float = 10.0
    ) -> None:
        """Connect, and return when the stream is up; a stream that is there already is ended first.

        Args:
            flag_keys: only events of flags with one of these keys; None or nothing for all.
            flag_ids: only events of flags with one of these ids; None or nothing for all.
            timeout: how many seconds to wait; 0 returns at once.

        Raises:
            FlagentError: the stream was not up in time, or it gave up, for this reason. Unless it gave up, it
                goes on trying: call `disconnect` to end that.
        """
        await self.disconnect()
        self._news = asyncio.Event()
        self._stream = self._new(flag_keys, flag_ids, Buffer(self._config.event_buffer_size, self._news.set))
        await self._stream.begin(timeout)

    def events(self) -> AsyncIterator[FlagEvent]:
        """Return an iterator over events as they arrive; it ends when the stream ends for good, after the last of them.

        Raises:
            Closed: `connect` was not called.
        """
        if self._stream is None:
            raise Closed("there is no stream: call connect() first")
        return _AsyncEvents(self._stream, self._news)

    async def disconnect(self) -> None:
        """End the stream, within 2 seconds, and whoever iterates over its events; more than once does no harm."""
        stream = self._stream
        if stream is None:
            return
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await stream.close()
        except TimeoutError:
            stream.forget()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    def __del__(self) -> None:
        stream = getattr(self, "_stream", None)
        if stream is not None and stream.runs:
            warnings.warn(f"{self!r} was forgotten without disconnect()", ResourceWarning, stacklevel=2, source=self)
            stream.forget()


class _AsyncEvents:
    """Not a generator: one that is left in the middle would have to be closed by somebody."""

    def __init__(self, stream: EventStream, news: asyncio.Event) -> None:
        self._buffer = stream.buffer
        self._news = news

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FlagEvent:
        while True:
            event = self._buffer.take()
            if event is not None:
                return event
            if self._buffer.ended:
                raise StopAsyncIteration
            self._news.clear()
            # Without a limit: it is woken by an event, or by the end of the stream.
            await self._news.wait()


def _notify(news: threading.Condition) -> None:
    with news:
        news.notify_all()
