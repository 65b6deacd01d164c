"""A client: a real manager, over a simulated line, with a simulated disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flagent import AsyncOfflineManager, OfflineConfig
from flagent.client.config import ClientSettings
from flagent.client.transport import CONNECT_TIMEOUT, HEADER_TIMEOUT, Answer
from flagent.core.changes import Cursor
from flagent.core.evaluation import Ruleset
from flagent.errors import FlagentError, HTTPStatusError, TransportError

from .disk import Disk
from .network import Line, Pipe

if TYPE_CHECKING:
    from .world import World

Updated = Callable[["Client", Ruleset | None, Ruleset], None]


class Client:
    """One program.

    Attributes:
        manager: its manager.
        line: its way to the servers.
        disk: its disk.
        seen: how far it was in each epoch, and in which order it saw epochs.
        closed_at: what its line had been used for when it was closed; None while it is open.
        deaf: it was told nothing, since it has just begun.
    """

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"http://client{number}"
        self.line = Line(world.chance)
        self.disk = Disk()
        self.manager: AsyncOfflineManager
        self.begin()

    def begin(self) -> None:
        """Start the program, for the first time or anew."""
        self.seen: dict[str, int] = {}
        self.used_when_closed: int | None = None
        self.manager = AsyncOfflineManager(self.name, OfflineConfig(storage_dir="/nowhere"))
        self._listen()
        self._starting = asyncio.create_task(self._start())

    async def _start(self) -> None:
        with suppress(FlagentError):
            await self.manager.bootstrap()
        with suppress(FlagentError):
            await self.manager.enable_realtime_updates()

    def fork(self) -> None:
        """Go on as the forked child of what it was."""
        self._starting.cancel()
        session = self.manager._session
        session._tasks.forget()
        self.manager.after_fork()
        self._listen()
        # What the parent had open is not the child's.
        for pipe in list(self.line.pipes):
            pipe.cut()
        self._starting = asyncio.create_task(self._start())

    async def close(self) -> None:
        """End the program in good order."""
        self._starting.cancel()
        await self.manager.close()
        self.used_when_closed = self.line.used

    @property
    def is_open(self) -> bool:
        """Whether it runs."""
        return self.used_when_closed is None

    @property
    def cursor(self) -> Cursor | None:
        """What it holds; None for nothing."""
        ruleset = self.manager._replica.ruleset
        return None if ruleset is None else ruleset.snapshot.cursor

    def _listen(self) -> None:
        replica = self.manager._replica
        updated = replica.updated
        assert updated is not None

        def told(before: Ruleset | None, after: Ruleset, keys: Any) -> None:
            self.world.updated(self, after)
            updated(before, after, keys)

        replica.updated = told


class SimulatedTransport:
    """Stands for `client.transport.Transport`: the same calls, over a line."""

    def __init__(self, world: World, settings: ClientSettings) -> None:
        self.settings = settings
        self._world = world
        self._client = next(client for client in world.clients if client.name == settings.root)

    async def request(
        self,
        _method: str,
        _path: str,
        *,
        query: Any = (),
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: float,
        max_bytes: int,
    ) -> Answer:
        """Ask for the snapshot."""
        line = self._used()
        try:
            async with asyncio.timeout(timeout):
                await line.trip()
                status, fields, body = self._world.nodes[line.server].export(query, headers or {})
                await line.trip()
        except TimeoutError:
            raise TransportError("no answer", kind="timeout") from None
        return Answer(status, fields, line.altered(body))

    async def open(self, _root: str, _path: str, *, query: Any, headers: Mapping[str, str]) -> SimulatedStream:
        """Begin a stream."""
        line = self._used()
        line.opened.append(asyncio.get_running_loop().time())
        pipe = Pipe(line, self._world.next_number(), asyncio.get_running_loop().time)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT + HEADER_TIMEOUT):
                await line.trip()
                try:
                    await self._world.nodes[line.server].open(query, headers, pipe)
                except HTTPStatusError as exc:
                    pipe.cut()
                    return SimulatedStream(pipe, exc.status, exc.retry_after)
                await line.trip()
        except TimeoutError:
            pipe.cut()
            raise TransportError("no answer", kind="timeout") from None
        except BaseException:
            pipe.cut()
            raise
        return SimulatedStream(pipe, 200, None)

    async def close_stream(self, stream: SimulatedStream) -> None:
        """Hang up."""
        stream.pipe.cut()

    async def aclose(self) -> None:
        """Do nothing: there is nothing but streams."""

    def let_go(self) -> None:
        """Do nothing: the simulated child shares no descriptors."""

    def _used(self) -> Line:
        self._client.line.used += 1
        self._world.used(self._client)
        return self._client.line


class SimulatedStream:
    """Stands for `client.transport.Stream`."""

    def __init__(self, pipe: Pipe, status: int, retry_after: float | None) -> None:
        self.status = status
        self.content_type = "text/event-stream"
        self.retry_after = retry_after
        self.pipe = pipe

    async def read(self) -> bytes:
        """Return what arrived."""
        return await self.pipe.read()
