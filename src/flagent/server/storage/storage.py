"""The storage as the event loop sees it: every statement runs on a thread of its own pool.

One thread writes, a few read; the loop never waits for the disk. All foreign exceptions become
`StorageUnavailable` here, except those that can only be a bug.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import TypeVar

import sqlalchemy as sa

from ...core.changes import Change
from ...core.ids import Ids
from ...core.model import Flag, Tag
from ...errors import Closed
from ..keys import Key, KeyKind
from . import api_keys, archive, log
from .failures import mapped
from .handover import Handover
from .log import Since, Stored
from .migrate import prepared
from .postgresql import Postgresql
from .sqlite import Sqlite
from .turn import Turn
from .written import Written

_T = TypeVar("_T")

#: Threads, and connections, for reading.
_READERS = 2
#: Most changes that one read returns.
PAGE = 1000


class Storage:
    """The change log and what follows from it, in a database.

    Attributes:
        wake: set when there may be new changes to read; the tail clears it before it looks.
        written: what this process wrote last.
        committed: called after each commit of changes by this process, in any thread.
        noted: called on the event loop when such a commit is known there; returns whether its changes were taken, or
            else the tail is woken.
    """

    def __init__(self, database: Sqlite | Postgresql) -> None:
        self.wake = asyncio.Event()
        self.written = Written()
        self.committed: Callable[[], None] = lambda: None
        self.noted: Callable[[], bool] = lambda: False
        self._database = database
        self._writer = database.writer()
        self._reader = database.reader(_READERS + 1)
        self._watch = database.watch(self._reader)
        self._writing = ThreadPoolExecutor(1, "flagent-write")
        # A transaction may last longer than one call of the writing thread; nothing else may come in between.
        self._alone = asyncio.Lock()
        self._reading = ThreadPoolExecutor(_READERS, "flagent-read")
        self._watching = ThreadPoolExecutor(1, "flagent-watch")
        self._look: asyncio.Future[bool] | None = None
        self._epoch = ""
        self._closed = False

    async def open(self) -> None:
        """Create or migrate the tables; a new database gets its epoch.

        Raises:
            ConfigurationError: there can be no database at this address, or a newer version made it.
            StorageUnavailable: it does not answer.
        """
        await self._run(self._writing, self._database.check)
        self._epoch = await self._write(partial(prepared, database=self._database, epoch=secrets.token_hex(8)))
        # Now, and not when they are needed first: by then clients may have taken every descriptor that there is.
        await self._run(self._reading, self._connect_all)

    async def close(self) -> None:
        """Wait for what is running and close all connections; nothing can be asked afterwards."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._dispose)

    async def load(self) -> Stored:
        """Return the newest state and what is needed to go on from it."""
        stored = await self._read(log.load)
        # It is another one when the database was restored meanwhile.
        self._epoch = stored.snapshot.epoch
        self.written.forget()
        return stored

    async def append(self, changes: Sequence[Change], ids: Ids, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Write `changes`, which must follow the newest revision, in one transaction, and let the tail have them.

        `meanwhile` is called on the event loop while the disk is waited for, if it comes to that.

        Raises:
            Overtaken: another writer took the revision; nothing was written.
            StorageUnavailable: nothing was written.
        """
        handover = Handover(partial(self._note, changes))

        def commit() -> None:
            with self._writer.connect() as connection:
                with connection.begin():
                    self._append(connection, changes, ids)
                    # The commit leaves the interpreter to others until the disk has it.
                    handover.soon(meanwhile)
                handover.made(self.committed)

        async with self._alone:
            await handover.known(self._run(self._writing, commit))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Keep other writers away while a decision is taken and appended, by `Turn.append`; commits at the end.

        For a writer that others were faster than: whoever holds the turn can't lose. They wait
        meanwhile, so nothing slow belongs inside.

        Raises:
            StorageUnavailable: the database does not answer, or another writer does not end; nothing was written.
        """
        async with self._alone:
            connection = await self._run(self._writing, self._writer.connect)
            appended: list[Change] = []

            async def append(changes: Sequence[Change], ids: Ids) -> None:
                await self._run(self._writing, partial(self._append, connection, changes, ids))
                appended.extend(changes)

            try:
                await self._run(self._writing, connection.begin)
                yield Turn(await self._run(self._writing, partial(log.lock_head, connection)), append)
                await self._run(self._writing, connection.commit)
            finally:
                # Whatever was not committed is rolled back.
                await self._run(self._writing, connection.close)
        if appended:
            self.committed()
            self._note(appended)

    def _note(self, changes: Sequence[Change]) -> None:
        self.written.note(changes)
        if not self.noted():
            self.wake.set()

    def hinted(self) -> None:
        """Hear that another process may have written."""
        self.written.told()
        self.wake.set()

    async def changes_after(self, revision: int, limit: int = PAGE) -> list[Change]:
        """Return the changes that follow `revision`, at most `limit` of them.

        Raises:
            Diverged: the database was restored; the state has to be loaded anew.
        """
        written = self.written.after(revision)
        if written:
            return list(written[:limit])
        self.written.read()
        return await self._read(partial(log.changes_after, epoch=self._epoch, revision=revision, limit=limit))

    async def since(self, at_ms: int) -> Since:
        """Return where the changes since a moment, in milliseconds since 1970, are in the log."""
        return await self._read(partial(log.since, at_ms=at_ms))

    async def renew_epoch(self) -> tuple[str, str]:
        """Give the log another name, so that no reader takes its cursors for those of the one before.

        Returns:
            The name before, and the new one.
        """
        self._epoch = secrets.token_hex(8)
        before = await self._write(partial(log.renew, epoch=self._epoch))
        return before, self._epoch

    async def news(self) -> None:
        """Return when there may be new changes: after an own commit at once, after a foreign one soon.

        There is no timeout: the tail of the log has nothing else to do.
        """
        look = self._begin_look() if self._look is None else self._look
        if not look.done():
            # Nothing in between: this is on the way of every change.
            await self.wake.wait()
        if self._look is not None and self._look.done():
            look, self._look = self._look, None
            look.result()

    def _begin_look(self) -> asyncio.Future[bool]:
        # Goes on in its thread when an own commit comes first.
        self._look = self._run(self._watching, self._watch.changed)
        self._look.add_done_callback(self._looked)
        return self._look

    def _looked(self, look: asyncio.Future[bool]) -> None:
        if look.cancelled() or self._closed:
            return
        if look.exception() is None and not look.result():
            self._begin_look()
            return
        # Also a look that failed may have missed something.
        self.written.told()
        self.wake.set()

    async def deleted_flags(self) -> list[Flag]:
        """Return all flags that can be restored, as they were."""
        return await self._read(archive.deleted_flags)

    async def deleted_flag(self, flag_id: int) -> Flag | None:
        """Return the deleted flag of that id as it was, or None."""
        return await self._read(partial(archive.deleted_flag, flag_id=flag_id))

    async def deleted_owners(self, keys: Sequence[str]) -> dict[str, int]:
        """Return the ids of the deleted flags that still hold some of these keys, by key."""
        return await self._read(partial(archive.deleted_owners, keys=keys))

    async def history(
        self, flag_id: int, *, newest_first: bool = True, limit: int = PAGE, offset: int = 0
    ) -> list[Change]:
        """Return the changes of a flag that carry it, at most `limit` of them."""
        return await self._read(
            partial(archive.history, flag_id=flag_id, newest_first=newest_first, limit=limit, offset=offset)
        )

    async def tags(self, *, value_like: str | None = None, limit: int | None = None, offset: int = 0) -> list[Tag]:
        """Return the tags that were ever attached to a flag, by id; `value_like` is a part of the value in any case."""
        return await self._read(partial(archive.tags, value_like=value_like, limit=limit, offset=offset))

    async def tag_of(self, value: str) -> Tag | None:
        """Return the tag that has exactly this value, or None."""
        return await self._read(partial(archive.tag_of, value=value))

    async def entity_types(self) -> list[str]:
        """Return every entity type that a flag ever had."""
        return await self._read(archive.entity_types)

    async def keys(self) -> list[Key]:
        """Return all API keys, also those that open nothing any more."""
        return await self._read(api_keys.keys)

    async def create_key(
        self, *, name: str, kind: KeyKind, digest: str, created_at: int, expires_at: int | None = None
    ) -> int:
        """Store an API key and return its id. Times are milliseconds since 1970."""
        return await self._write(
            partial(api_keys.create, name=name, kind=kind, digest=digest, created_at=created_at, expires_at=expires_at)
        )

    async def revoke_key(self, key_id: int, *, at_ms: int) -> bool:
        """Revoke an API key; return False if there is none of that id."""
        return await self._write(partial(api_keys.revoke, key_id=key_id, at_ms=at_ms))

    async def touch_keys(self, used_at: Mapping[int, int]) -> None:
        """Note when API keys were used last, by their ids."""
        await self._write(partial(api_keys.touch, used_at=used_at))

    async def _read(self, statements: Callable[[sa.Connection], _T]) -> _T:
        return await self._run(self._reading, partial(_in_transaction, self._reader, statements))

    async def _write(self, statements: Callable[[sa.Connection], _T]) -> _T:
        async with self._alone:
            return await self._run(self._writing, partial(_in_transaction, self._writer, statements))

    def _run(self, executor: ThreadPoolExecutor, call: Callable[[], _T]) -> asyncio.Future[_T]:
        if self._closed:
            raise Closed("the storage was closed")
        return asyncio.get_running_loop().run_in_executor(executor, partial(mapped, call))

    def _append(self, connection: sa.Connection, changes: Sequence[Change], ids: Ids) -> None:
        log.append(connection, self._epoch, changes, ids)
        self._database.announce(connection)

    def _connect_all(self) -> None:
        with ExitStack() as stack:
            for _ in range(_READERS):
                stack.enter_context(self._reader.connect())

    def _dispose(self) -> None:
        self._watch.end()
        for threads in (self._writing, self._reading, self._watching):
            threads.shutdown()
        self._watch.close()
        self._reader.dispose()
        self._writer.dispose()


def _in_transaction(engine: sa.Engine, statements: Callable[[sa.Connection], _T]) -> _T:
    with engine.begin() as connection:
        return statements(connection)
