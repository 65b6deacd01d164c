"""A storage on a real database file, and one writer of it, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from flagent.core import edits
from flagent.core.changes import Change
from flagent.core.edits import Edit
from flagent.core.ids import Allocator
from flagent.core.model import Flag
from flagent.server.storage import Storage, Stored, open_storage

T = TypeVar("T")


def with_storage(where: Path | str, use: Callable[[Storage], Awaitable[T]]) -> T:
    """Open the storage at a URL, or in the file of that path, and use it."""

    async def run() -> T:
        storage = open_storage(where if isinstance(where, str) else f"sqlite:///{where}")
        try:
            await storage.open()
            return await use(storage)
        finally:
            await storage.close()

    return asyncio.run(run())


class Writer:
    """Applies edits to a storage as the only writer."""

    def __init__(self, storage: Storage, stored: Stored) -> None:
        self.storage = storage
        self.snapshot = stored.snapshot
        self.ids = stored.ids
        self.log: list[Change] = []

    async def write(self, *decided: Edit, ids: Allocator | None = None) -> None:
        changes, self.snapshot = edits.stamp(self.snapshot, decided, actor="eve", now_ms=1000 + self.snapshot.revision)
        self.ids = ids.ids if ids else self.ids
        if changes:
            await self.storage.append(changes, ids=self.ids)
        self.log += changes

    async def create(self, key: str, template: str | None = None) -> Flag:
        ids = Allocator(self.ids)
        await self.write(edits.create_flag(ids, key=key, description="d", template=template), ids=ids)
        return self.snapshot.flags[key]


async def writer_of(storage: Storage) -> Writer:
    return Writer(storage, await storage.load())
