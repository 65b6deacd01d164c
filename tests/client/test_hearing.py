"""What a stream says is delivered once and in order, however it is cut and whatever has to be waited for in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import stream_bytes
from change_log import EPOCH
from hypothesis import given
from hypothesis import strategies as st
from log_reader import LogReader
from raw_server import Connection, Request
from sdk_parts import StartRaw
from waiting import until_async

from flagent.client.config import ClientSettings
from flagent.client.follow import Follower
from flagent.client.hearing import Hearing
from flagent.client.transport import Transport
from flagent.core.changes import Change, Cursor, Delta
from flagent.errors import Diverged, FlagentError, StreamBroken
from flagent.wire.codec import FlagEvent
from flagent.wire.feed import Checkpoint, Feed

SIZE = 6
#: Behind which revision the server loses its memory, so that a snapshot is needed, which is at the next but one.
LOST = 3


class Holder:
    """Notes what is delivered, and loads the snapshots of a log."""

    def __init__(self, log: LogReader, refuses: int = 0) -> None:
        self.revisions: list[int] = []
        self.restarts: list[str] = []
        self._log = log
        self._refuses = refuses

    def deliver(self, update: Change | Delta | FlagEvent | Checkpoint, _feed: Feed) -> None:
        assert isinstance(update, Change | Checkpoint)
        if isinstance(update, Change):
            if update.revision == self._refuses:
                self._refuses = 0
                raise Diverged("refused")
            self.revisions.append(update.revision)

    async def restart(self, reason: str, _feed: Feed) -> Cursor:
        self.restarts.append(reason)
        # Others have a turn.
        await asyncio.sleep(0)
        at = max([*self.revisions, 0]) + 2
        self.revisions.append(at)
        return self._log.states[at].cursor


def hear_all(hearing: Hearing, pieces: Sequence[bytes]) -> None:
    async def run() -> None:
        for piece in pieces:
            if not hearing.hear(piece):
                await hearing.settle()

    asyncio.run(run())


def cut(data: st.DataObject, whole: bytes) -> list[bytes]:
    places = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=12)))
    return [whole[begin:end] for begin, end in zip([0, *places], [*places, len(whole)], strict=True)]


@given(data=st.data())
def test_updates_are_delivered_in_order_wherever_the_stream_is_cut(data: st.DataObject) -> None:
    log = LogReader(SIZE)
    holder, delivered = Holder(log), []
    hearing = Hearing(log.feed, holder, lambda: delivered.append(log.feed.cursor))

    hear_all(hearing, cut(data, b"".join(log.frames)))

    assert (holder.revisions, holder.restarts) == ([*range(1, SIZE + 1)], [])
    assert delivered[-1] == Cursor(EPOCH, SIZE)


@given(data=st.data())
def test_what_comes_after_a_gap_waits_for_the_snapshot(data: st.DataObject) -> None:
    log = LogReader(SIZE)
    holder = Holder(log)
    before, after = log.frames[:LOST], log.frames[LOST:]
    whole = b"".join((*before, stream_bytes.resync(Cursor(EPOCH, LOST + 2)), *after))

    hear_all(Hearing(log.feed, holder, lambda: None), cut(data, whole))

    assert (holder.revisions, holder.restarts) == ([1, 2, 3, 5, 6], ["cursor is too old"])


@given(data=st.data())
def test_who_diverges_begins_with_a_snapshot_again(data: st.DataObject) -> None:
    log = LogReader(SIZE)
    holder = Holder(log, refuses=3)

    hear_all(Hearing(log.feed, holder, lambda: None), cut(data, b"".join(log.frames)))

    # What came with the change that was refused is in the snapshot, or comes after it.
    assert holder.restarts[0] == "refused"
    assert holder.revisions[:3] == [1, 2, 4]
    assert sorted(set(holder.revisions)) == holder.revisions
    assert log.feed.cursor is not None
    assert log.feed.cursor.revision == holder.revisions[-1]


def test_a_stream_of_no_use_is_told_after_what_came_before() -> None:
    log = LogReader(SIZE)
    holder = Holder(log)
    hearing = Hearing(log.feed, holder, lambda: None)

    with pytest.raises(StreamBroken, match="goodbye"):
        hear_all(hearing, [log.frames[0] + stream_bytes.goodbye("drain", 100)])

    assert holder.revisions == [1]


class Stumbling(Holder):
    """Fails at the first update that it is given."""

    def __init__(self, log: LogReader) -> None:
        super().__init__(log)
        self.failures = 0

    def deliver(self, update: Change | Delta | FlagEvent | Checkpoint, feed: Feed) -> None:
        if not self.failures:
            self.failures += 1
            raise LookupError("a bug")
        super().deliver(update, feed)

    def heard(self, feed: Feed) -> None:
        """Take no note."""

    def turns(self, error: FlagentError) -> int:
        """Share with nobody."""
        return 1

    def changed(self) -> None:
        """Take no note."""


def test_what_one_connection_left_undone_is_not_delivered_on_the_next(raw_server: StartRaw) -> None:
    log = LogReader(SIZE)
    asked: list[str] = []

    def answer(request: Request, connection: Connection) -> None:
        asked.append(request.path)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        first = len(asked) == 1
        connection.send(stream_bytes.connected(log.states[2], "changes" if first else "none"))
        if first:
            connection.send(log.frames[0] + log.frames[1])
        connection.hang()

    async def use(url: str) -> Stumbling:
        transport, holder = Transport(ClientSettings(root=url)), Stumbling(log)
        feed = Feed(log.states[0].cursor, base_delay=0.01, random=lambda: 0.0)
        follower = Follower(transport, url, feed, holder)
        following = asyncio.create_task(follower.run())
        try:
            await until_async(lambda: len(asked) > 1 and follower.live)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await transport.aclose()
        return holder

    holder = asyncio.run(use(raw_server(answer).url))

    assert (holder.failures, holder.restarts, holder.revisions) == (1, ["start"], [2])
