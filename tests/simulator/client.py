"""A client: a real manager, over a simulated line, with a simulated disk."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flagent import AsyncOfflineManager, OfflineConfig
from flagent.client.callbacks import FlagChange
from flagent.client.config import ClientSettings
from flagent.client.disk import Cached
from flagent.client.hearing import Ending, Hear, Left, hear_piece
from flagent.client.transport import CONNECT_TIMEOUT, HEADER_TIMEOUT, Answer
from flagent.core.changes import Cursor, Snapshot
from flagent.core.evaluation import Ruleset
from flagent.core.model import Flag
from flagent.errors import DecodeError, FlagentError, TransportError
from flagent.wire.backoff import parse_retry_after

from . import invariants
from .disk import Disk
from .line import Canned, Line
from .network import Pipe

if TYPE_CHECKING:
    from .world import World


class Client:
    """One program, which may end and begin again.

    Attributes:
        name: the server's address as this client knows it; no two clients have the same.
        manager: its manager.
        line: its way to the servers.
        disk: its disk.
        life: how often it began; what an earlier life left behind must do nothing any more.
        is_open: whether it runs.
        whole: the snapshot that was found to be one that was committed.
        seen: where it was last in this life.
        known: the flags as its listener has been told of them; None before the first snapshot.
        fresh_at: when it began to follow a stream without a history of failures.
        close_took: seconds that the last `close` took.
        writes: how many files were begun when it was closed.
    """

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.name = f"http://client{number}"
        self.line = Line(random.Random(world.chance.random()), world.counts)
        self.disk = Disk()
        self.life = 0
        self.whole: Snapshot | None = None
        self.is_open = False
        self.fresh_at: list[float] = []
        self.close_took = 0.0
        self.writes = 0
        self.manager: AsyncOfflineManager
        self._starting: asyncio.Task[None]

    def begin(self) -> None:
        """Start the program, for the first time or anew."""
        self._live_anew()
        self.is_open = True
        self.manager = AsyncOfflineManager(self.name, OfflineConfig(storage_dir="/nowhere"))
        self.manager.on_change(self._told)
        self._starting = asyncio.create_task(self._start())
        self._observe()

    def _live_anew(self) -> None:
        self.life += 1
        self.seen: Cursor | None = None
        self.known: dict[str, Flag] | None = None
        self.fresh_at.append(self.world.loop.time())

    async def _start(self) -> None:
        manager = self.manager
        # No two programs begin at the same moment.
        await asyncio.sleep(self.line.chance.uniform(0.0, 0.01))
        with suppress(FlagentError):
            await manager.bootstrap()
        with suppress(FlagentError):
            await manager.enable_realtime_updates()

    def _observe(self) -> None:
        replica = self.manager._replica
        updated = self.manager._session._updated

        def observed(before: Ruleset | None, after: Ruleset, keys: Any) -> None:
            if self.known is None:
                self.known = dict((before or after).snapshot.flags)
            self.world.updated(self, after)
            updated(before, after, keys)

        replica.updated = observed

    def _told(self, change: FlagChange) -> None:
        self.world.told(self, change)

    def fork(self) -> None:
        """Go on as the forked child of what it was; the parent is not looked at any more."""
        seen = self.seen
        self._live_anew()
        # It has what its parent had.
        self.seen = seen
        busy = self.world.end_calls(self) or not self._starting.done()
        self._starting.cancel()
        self.manager._session.forget()
        if self.manager._resuming is not None:
            self.manager._resuming.cancel()
        self.manager.after_fork()
        self._observe()
        # What the parent had open is not the child's.
        self.line.cut()
        if busy:
            # What the parent's program was just about to do, the child's does.
            self._starting = asyncio.create_task(self._start())

    def stream_anew(self) -> None:
        """Note that the stream is about to begin without a history of failures."""
        self.fresh_at.append(self.world.loop.time())

    async def close(self) -> None:
        """End the program in good order."""
        self._starting.cancel()
        began = self.world.loop.time()
        await self.manager.close()
        self.close_took = self.world.loop.time() - began
        self.is_open = False
        self.writes = self.disk.writes

    async def crash(self) -> None:
        """End the program, and the machine that it runs on."""
        self.life += 1
        self._starting.cancel()
        self.world.end_calls(self)
        self.manager._session.forget()
        self.manager._session.end()
        self.line.cut()
        saver = self.manager._session.upkeep.saver
        saved = None if saver is None or saver._saved is None else saver._saved.snapshot
        self.disk.cut_power(self.line.chance)
        invariants.survives_power_cut(self, saved)
        self.is_open = False
        # What is cancelled has a turn before anything else begins.
        for _ in range(5):
            await asyncio.sleep(0)
        self.writes = self.disk.writes

    def kept(self) -> list[Cached]:
        """Return what the files on its disk say, those that can be read."""
        saver = self.manager._session.upkeep.saver
        if saver is None:
            return []
        found, cache = [], saver._disk
        for path in (cache._newest, cache._previous):
            with suppress(OSError, DecodeError):
                found.append(cache._read(path))
        return found

    @property
    def ruleset(self) -> Ruleset | None:
        """What it evaluates on; None for nothing."""
        return self.manager._replica.ruleset or self.manager._inherited

    @property
    def cursor(self) -> Cursor | None:
        """Where it is; None for nowhere."""
        ruleset = self.ruleset
        return None if ruleset is None else ruleset.snapshot.cursor


class SimulatedTransport:
    """Stands for `client.transport.Transport`: the same calls, over a line."""

    def __init__(self, client: Client, settings: ClientSettings) -> None:
        self.settings = settings
        self._client = client
        self._life = client.life

    async def request(
        self,
        _method: str,
        path: str,
        *,
        query: Any = (),
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: float,
        max_bytes: int,
    ) -> Answer:
        """Ask for a whole answer."""
        try:
            async with asyncio.timeout(timeout):
                stream = await self._answer(path, query, headers or {}, streams=False)
                parts = []
                while part := await stream.read():
                    parts.append(part)
        except TimeoutError:
            raise TransportError("no answer", kind="timeout") from None
        body = b"".join(parts)
        if len(body) != int(stream.headers.get("content-length", len(body))):
            raise TransportError("the answer broke off")
        return Answer(stream.status, stream.headers, body)

    async def open(self, _root: str, path: str, *, query: Any, headers: Mapping[str, str]) -> SimulatedStream:
        """Begin a stream."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT + HEADER_TIMEOUT):
                return await self._answer(path, query, headers, streams=True)
        except TimeoutError:
            raise TransportError("no answer", kind="timeout") from None

    async def _answer(self, path: str, query: Any, headers: Mapping[str, str], *, streams: bool) -> SimulatedStream:
        client, world = self._client, self._client.world
        line = client.line
        world.asked(client, self._life, path, streams=streams)
        canned = line.canned.popleft() if line.canned else line.refuses
        if canned is not None:
            world.counts[f"answered {canned.status} by another"] += 1
            await line.trip()
            return SimulatedStream(None, canned.status, _canned_headers(canned), canned.body)
        pipe = Pipe(line, world.next_number(), streams=streams)
        try:
            await line.trip()
            world.nodes[line.server].serve(path, query, headers, pipe)
            await pipe.head()
        except BaseException:
            pipe.cut()
            raise
        world.counts[f"answered {pipe.status}"] += 1
        return SimulatedStream(pipe, pipe.status, pipe.headers)

    async def close_stream(self, stream: SimulatedStream) -> None:
        """Hang up."""
        if stream.pipe is not None and not stream.pipe.dead:
            stream.pipe.cut()

    async def aclose(self) -> None:
        """Do nothing: there is nothing but streams."""

    def let_go(self) -> None:
        """Do nothing: the simulated child shares no descriptors."""


class SimulatedStream:
    """Stands for `client.transport.Stream`."""

    def __init__(self, pipe: Pipe | None, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.pipe = pipe
        self.status = status
        self.headers = headers
        self.content_type = headers.get("content-type", "")
        self.retry_after = parse_retry_after(headers.get("retry-after"), 0.0)
        self._body = body

    async def read(self) -> bytes:
        """Return what arrived; empty at the end."""
        if self.pipe is not None:
            return await self.pipe.read()
        body, self._body = self._body, b""
        return body

    async def listen(self, hear: Hear, left: Left) -> Ending:
        """Give what arrives to `hear`, until that is enough or there is nothing more."""
        while True:
            ending = await hear_piece(self.read, hear, left)
            if ending is not None:
                return ending


def _canned_headers(canned: Canned) -> dict[str, str]:
    headers = {"content-type": canned.content_type}
    return headers if canned.retry_after is None else {**headers, "retry-after": canned.retry_after}
