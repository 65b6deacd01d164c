"""The tail of the log: own and foreign commits arrive once, in order, whatever happens to the database."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from waiting import until_async

from flagent.core import edits
from flagent.core.changes import Change
from flagent.core.ids import Allocator
from flagent.errors import StorageUnavailable
from flagent.server.storage import Storage, open_storage
from flagent.server.storage.sqlite import Watch
from flagent.server.storage.storage import PAGE
from flagent.server.storage.tail import follow


class Reader:
    """Follows a storage, and waits for revisions."""

    def __init__(self, storage: Storage) -> None:
        self.revisions: list[int] = []
        self.arrived = asyncio.Event()
        self.task = asyncio.create_task(follow(storage, 0, self.deliver))

    def deliver(self, changes: Sequence[Change]) -> None:
        self.revisions += [change.revision for change in changes]
        self.arrived.set()

    async def until(self, revision: int) -> None:
        async with asyncio.timeout(10):
            while not self.revisions or self.revisions[-1] < revision:
                self.arrived.clear()
                await self.arrived.wait()


async def write(storage: Storage, *keys: str, meanwhile: Callable[[], object] = lambda: None) -> None:
    stored = await storage.load()
    ids = Allocator(stored.ids)
    created = [edits.create_flag(ids, key=key, description="") for key in keys]
    changes, _ = edits.stamp(stored.snapshot, created, actor=None, now_ms=0)
    await storage.append(changes, ids.ids, meanwhile)


def with_reader(path: Path, use: Callable[[Storage, Reader], Awaitable[None]]) -> None:
    async def run() -> None:
        storage = open_storage(f"sqlite:///{path}")
        await storage.open()
        reader = Reader(storage)
        try:
            await use(storage, reader)
        finally:
            reader.task.cancel()
            with suppress(asyncio.CancelledError):
                await reader.task
            await storage.close()

    asyncio.run(run())


def test_own_commits_arrive_in_order(tmp_path: Path) -> None:
    async def use(storage: Storage, reader: Reader) -> None:
        await write(storage, "a")
        await reader.until(1)
        await write(storage, "b", "c")
        await reader.until(3)

        assert reader.revisions == [1, 2, 3]

    with_reader(tmp_path / "a.db", use)


def test_commits_of_another_process_arrive_too(tmp_path: Path) -> None:
    async def use(storage: Storage, reader: Reader) -> None:
        other = open_storage(f"sqlite:///{tmp_path / 'a.db'}")
        await other.open()
        await write(storage, "own")
        await reader.until(1)

        await write(other, "foreign")
        await reader.until(2)
        await write(storage, "own-again")
        await reader.until(3)

        assert reader.revisions == [1, 2, 3]
        await other.close()

    with_reader(tmp_path / "a.db", use)


def test_after_an_own_commit_the_log_is_not_read_until_something_tells_of_another(tmp_path: Path) -> None:
    async def use(storage: Storage, reader: Reader) -> None:
        await write(storage, "a")
        await reader.until(1)
        own = storage.written.is_newest(1)
        storage.hinted()

        assert (own, storage.written.is_newest(0), storage.written.is_newest(1)) == (True, False, False)

    with_reader(tmp_path / "a.db", use)


def test_a_hint_that_comes_together_with_an_own_commit_is_not_lost(tmp_path: Path) -> None:
    async def run() -> None:
        storage, other = (open_storage(f"sqlite:///{tmp_path / 'a.db'}") for _ in range(2))
        await storage.open()
        await other.open()
        await write(storage, "own")
        await write(other, "foreign")
        storage.hinted()

        assert [change.revision for change in await storage.changes_after(0)] == [1, 2]
        await storage.close()
        await other.close()

    asyncio.run(run())


def test_a_hint_that_comes_between_an_own_commit_and_its_notice_is_not_lost(tmp_path: Path) -> None:
    async def run() -> None:
        storage = open_storage(f"sqlite:///{tmp_path / 'a.db'}")
        await storage.open()
        await write(storage, "own", meanwhile=storage.hinted)
        before = storage.written.is_newest(1)
        read = [change.revision for change in await storage.changes_after(0)]
        await write(storage, "next")

        assert (before, read, storage.written.is_newest(2)) == (False, [1], True)
        await storage.close()

    asyncio.run(run())


def test_an_own_commit_is_known_also_when_nobody_waits_for_it_any_more(tmp_path: Path) -> None:
    async def run() -> None:
        storage = open_storage(f"sqlite:///{tmp_path / 'a.db'}")
        await storage.open()
        stored = await storage.load()
        ids = Allocator(stored.ids)
        created = [edits.create_flag(ids, key="own", description="own")]
        changes, _ = edits.stamp(stored.snapshot, created, actor=None, now_ms=0)
        committing = asyncio.Event()
        writing = asyncio.create_task(storage.append(changes, ids.ids, committing.set))
        await committing.wait()
        writing.cancel()

        await until_async(lambda: storage.written.is_newest(1))

        assert [change.revision for change in await storage.changes_after(0)] == [1]
        await storage.close()

    asyncio.run(run())


def test_an_own_commit_is_delivered_in_the_call_that_tells_of_it(tmp_path: Path) -> None:
    async def run() -> None:
        storage = open_storage(f"sqlite:///{tmp_path / 'a.db'}")
        await storage.open()
        tasks: list[asyncio.Task[object] | None] = []
        following = asyncio.create_task(follow(storage, 0, lambda _changes: tasks.append(asyncio.current_task())))
        # It has to wait for news, or the first ones are read by its task.
        await until_async(lambda: storage._look is not None)
        await write(storage, "a")
        delivered = list(tasks)
        await write(storage, "b", "c")

        assert (delivered, tasks) == ([None], [None, None])
        following.cancel()
        await storage.close()

    asyncio.run(run())


def test_more_own_changes_than_a_page_arrive_all_the_same(tmp_path: Path) -> None:
    async def use(storage: Storage, reader: Reader) -> None:
        await write(storage, *(f"flag{number}" for number in range(PAGE + 1)))
        await write(storage, "last")
        await reader.until(PAGE + 2)

        assert reader.revisions == list(range(1, PAGE + 3))

    with_reader(tmp_path / "a.db", use)


def test_what_delivering_an_own_commit_raises_ends_the_tail(tmp_path: Path) -> None:
    async def run() -> None:
        storage = open_storage(f"sqlite:///{tmp_path / 'a.db'}")
        await storage.open()

        def deliver(changes: Sequence[Change]) -> None:
            raise LookupError(f"revision {changes[0].revision}")

        following = asyncio.create_task(follow(storage, 0, deliver))
        await until_async(lambda: storage._look is not None)
        await write(storage, "a")

        with pytest.raises(LookupError, match="revision 1"):
            await asyncio.wait_for(following, 10)
        # Nobody takes it any more; whoever follows from now on is woken.
        assert not storage.noted()
        assert storage.wake.is_set()
        await storage.close()

    asyncio.run(run())


def test_what_a_watch_that_failed_has_missed_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, missed = threading.Event(), threading.Event()

    def looks(_watch: Watch) -> bool:
        if not missed.is_set():
            looking.set()
            missed.wait(10)
            raise StorageUnavailable("the connection broke")
        return False

    async def use(storage: Storage, reader: Reader) -> None:
        other = open_storage(f"sqlite:///{tmp_path / 'a.db'}")
        await other.open()
        monkeypatch.setattr(Watch, "changed", looks)
        await asyncio.to_thread(looking.wait, 10)
        await write(storage, "own")
        await reader.until(1)
        await write(other, "foreign")
        missed.set()
        await reader.until(2)

        assert reader.revisions == [1, 2]
        await other.close()

    with_reader(tmp_path / "a.db", use)


def test_the_tail_survives_a_database_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(storage: Storage, reader: Reader) -> None:
        read = storage.changes_after
        failures = iter([StorageUnavailable("gone"), StorageUnavailable("still gone")])

        async def failing(revision: int, limit: int = 1000) -> list[Change]:
            for failure in failures:
                raise failure
            return await read(revision, limit)

        monkeypatch.setattr(storage, "changes_after", failing)
        await write(storage, "a")
        await reader.until(1)

        assert reader.revisions == [1]

    with_reader(tmp_path / "a.db", use)

    said = [record for record in caplog.records if record.name == "flagent.tail" and record.levelno >= logging.WARNING]
    assert [record.levelname for record in said] == ["WARNING"]


def test_what_the_holder_raises_ends_the_tail(tmp_path: Path) -> None:
    async def run() -> None:
        storage = open_storage(f"sqlite:///{tmp_path / 'a.db'}")
        await storage.open()
        await write(storage, "a")

        def refuse(changes: Sequence[Change]) -> None:
            raise ValueError(f"can't take {len(changes)}")

        with pytest.raises(ValueError, match="can't take 1"):
            await follow(storage, 0, refuse)
        await storage.close()

    asyncio.run(run())
