"""A commit on its way from the writing thread to the event loop: nobody waits longer than they have to, or for ever."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import pytest
from stored import with_storage, writer_of

from flagent.server.storage import Storage
from flagent.server.storage.handover import Handover


def test_who_writes_waits_for_nothing_that_comes_after_the_commit(tmp_path: Path) -> None:
    async def use(storage: Storage) -> list[int]:
        going_on, writer = threading.Event(), await writer_of(storage)

        def busy() -> None:
            going_on.wait(30)

        storage.committed = busy
        await writer.create("first")
        read = [change.revision for change in await storage.changes_after(0)]
        going_on.set()
        # The same thread writes this one, when it is done with the first.
        await writer.create("second")
        return [*read, *(change.revision for change in await storage.changes_after(1))]

    assert with_storage(tmp_path / "a.db", use) == [1, 2]


def test_what_goes_wrong_after_the_commit_is_logged_and_is_no_failed_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("no sibling")

    async def use(storage: Storage) -> list[int]:
        writer = await writer_of(storage)
        storage.committed = broken
        await writer.create("first")
        storage.committed = lambda: None
        await writer.create("second")
        return [change.revision for change in await storage.changes_after(0)]

    assert with_storage(tmp_path / "a.db", use) == [1, 2]
    assert ("flagent.storage", logging.WARNING, "after a write: no sibling") in caplog.record_tuples


def test_a_write_that_fails_is_told_to_whoever_waits(tmp_path: Path) -> None:
    async def use() -> None:
        async def writing() -> None:
            raise LookupError("no such table")

        with pytest.raises(LookupError, match="no such table"):
            await Handover(lambda: None).known(asyncio.ensure_future(writing()))

    asyncio.run(use())


def test_a_thread_that_commits_goes_on_although_the_event_loop_has_no_time() -> None:
    async def use() -> bool:
        noted: list[str] = []
        handover = Handover(lambda: noted.append("noted"))
        thread = threading.Thread(target=handover.made, args=(lambda: noted.append("besides"),), daemon=True)
        thread.start()
        # The event loop does nothing else meanwhile.
        thread.join(10)
        ended = not thread.is_alive()
        await asyncio.sleep(0)
        assert noted == ["besides", "noted"]
        return ended

    assert asyncio.run(use())


def test_who_waits_is_told_although_taking_note_goes_wrong() -> None:
    told: list[str] = []

    def note() -> None:
        raise LookupError("what is that?")

    async def use() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: told.append(str(context["exception"])))
        handover = Handover(note)

        async def writing() -> None:
            await asyncio.to_thread(handover.made, lambda: None)

        await asyncio.wait_for(handover.known(asyncio.ensure_future(writing())), 10)

    asyncio.run(use())
    assert told == ["what is that?"]
