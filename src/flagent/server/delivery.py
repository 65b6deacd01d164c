"""Writing to streams: to a whole audience at once, or to one stream at the pace of its connection."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any

from ..wire.encodings import NOTHING, Messages
from .audience import Audience, Audiences
from .descriptors import Descriptors
from .hub import Hub
from .stream import PIECE, Reader, Stream

_log = logging.getLogger("flagent.streams")


class Delivery:
    """Hands to streams what their readers say.

    Args:
        hub: what readers read.
        clock: gives seconds that never go back.
        schedule: called with a stream that begins or ends to wait for its connection.
        wake: called when the first stream joined an audience.
        lost: called with a stream whose connection is gone, as writing to it shows, and the reason.

    Attributes:
        live: audiences that hear of changes at once.
        compatible: audiences of Flagent's own clients.
        failed: how many streams ended because writing to them raised something unexpected.
        written: bytes that were written to streams.
    """

    def __init__(
        self,
        hub: Hub,
        *,
        clock: Callable[[], float],
        schedule: Callable[[Stream], None],
        wake: Callable[[], None],
        lost: Callable[[Stream, OSError], None],
    ) -> None:
        self.live = Audiences(hub)
        self.compatible = Audiences(hub)
        self.failed = 0
        self.written = 0
        self._clock = clock
        self._schedule = schedule
        self._wake = wake
        self._lost = lost
        self._descriptors = Descriptors(clock)

    def serve(self, audience: Audience) -> int:
        """Tell an audience its news; return how many streams were written to."""
        reader = audience.reader
        try:
            news = reader.news()
        except Exception as exc:  # noqa: BLE001 - it ends these streams and no others
            for stream in tuple(audience.streams):
                self.fail(stream, exc)
            return 0
        if reader.catch_up is not None:
            # Each of them at its own pace.
            for stream in tuple(audience.streams):
                self.part(stream)
                self.serve_one(stream)
            return 0
        told = self._tell(audience, news)
        self._audiences(reader).moved(audience)
        return told

    def give_sign(self, audience: Audience) -> int:
        """Tell an audience its news or, if there are none, that the connection lives."""
        written = self.serve(audience)
        if written or not len(audience):
            return written
        reader = audience.reader
        # Not to be asked again soon, also when there is nothing to say.
        self._audiences(reader).told(audience, self._clock())
        written = self._tell(audience, reader.sign())
        self._audiences(reader).moved(audience)
        return written

    def _tell(self, audience: Audience, messages: Messages) -> int:
        """Write to all of an audience; whoever can't be written to leaves it."""
        if not messages:
            return 0
        self._audiences(audience.reader).told(audience, self._clock())
        streams, size = len(audience), sum(map(len, messages))
        self.written += streams * size
        if audience.direct and size <= PIECE:
            self._tell_direct(audience, messages[0] if len(messages) == 1 else b"".join(messages))
        else:
            self._tell_each(tuple(audience.direct), messages)
        if audience.others:
            self._tell_each(tuple(audience.others), messages)
        return streams

    def _tell_direct(self, audience: Audience, body: bytes) -> None:
        audience.written += len(body)
        untaken = self._descriptors.write(tuple(audience.direct.values()), body)
        if untaken:
            for stream, descriptor in tuple(audience.direct.items()):
                if descriptor in untaken:
                    self._go_on(stream, body, untaken[descriptor])

    def _go_on(self, stream: Stream, body: bytes, taken: int | OSError) -> None:
        """Do what is left to do for a stream that did not take all of `body`."""
        if isinstance(taken, int):
            rest = body[taken:]
            # The outlet counts it.
            stream.direct_bytes -= len(rest)
            self._tell_each((stream,), (rest,))
        elif taken.errno == errno.EBADF:
            # A client can't do that.
            self.fail(stream, taken)
        else:
            self._lost(stream, taken)

    def _tell_each(self, streams: Iterable[Stream], messages: Messages) -> None:
        for stream in streams:
            try:
                rest = stream.outlet.write(messages)
            except Exception as exc:  # noqa: BLE001 - it ends this stream and no other
                self.fail(stream, exc)
            else:
                if rest is not None:
                    self.wait_for(stream, rest.wait())

    def serve_one(self, stream: Stream, first: Messages = NOTHING) -> None:
        """Tell a stream something, and what it missed; then it is told what its equals are."""
        if stream.ended or stream.pending is not None:
            return
        reader = stream.reader
        try:
            messages = first if reader.catch_up is not None else (*first, *reader.news())
            if messages:
                self.written += sum(map(len, messages))
                rest = stream.outlet.write(messages)
                if rest is not None:
                    self.wait_for(stream, rest.wait())
                    return
            if reader.catch_up is not None:
                self.wait_for(stream, self._catch_up(stream, reader.catch_up()))
                return
        except Exception as exc:  # noqa: BLE001 - it ends this stream and no other
            self.fail(stream, exc)
            return
        if self._audiences(reader).join(stream, self._clock()):
            self._wake()

    def wait_for(self, stream: Stream, work: Coroutine[Any, Any, None]) -> None:
        """Let the stream wait for `work`; what changes meanwhile comes afterwards."""
        self.part(stream)
        stream.stalled_at, stream.taken = self._clock(), stream.taken_by_now()
        stream.pending = asyncio.create_task(self._finish(stream, work), name=f"stream {stream.number}")
        self._schedule(stream)

    async def _finish(self, stream: Stream, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as exc:  # noqa: BLE001 - it ends this stream and no other
            self.fail(stream, exc)
            return
        finally:
            stream.pending = None
        self.serve_one(stream)
        self._schedule(stream)

    async def _catch_up(self, stream: Stream, batches: AsyncIterator[Messages]) -> None:
        async for messages in batches:
            if stream.ended:
                return
            self.written += sum(map(len, messages))
            rest = stream.outlet.write(messages)
            if rest is not None:
                await rest
            stream.stalled_at = self._clock()
        stream.reader.catch_up = None

    def _audiences(self, reader: Reader) -> Audiences:
        return self.compatible if reader.compatible else self.live

    def part(self, stream: Stream) -> None:
        """Let a stream go on by itself, or not at all."""
        self._audiences(stream.reader).leave(stream)

    def fail(self, stream: Stream, exc: Exception) -> None:
        """Give up a stream that can't be served."""
        self.failed += 1
        _log.error("stream %d ends: it can't be served", stream.number, exc_info=exc)
        self.part(stream)
        stream.abort()
