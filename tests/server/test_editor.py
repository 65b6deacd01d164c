"""The editor against a real database and hub, alone and beside another writer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from flagent.core import edits
from flagent.core.changes import Change
from flagent.core.edits import Edit, FlagPatch
from flagent.core.model import Tag
from flagent.errors import InvalidFlag, StorageUnavailable
from flagent.server import editor as editor_module
from flagent.server.editor import Decide, Editor, State
from flagent.server.hub import Hub
from flagent.server.storage import Storage, open_storage
from flagent.server.storage.tail import follow


class Process:
    """What one server process has: a storage, a hub, an editor, and usually a tail of the log."""

    def __init__(self, storage: Storage, hub: Hub) -> None:
        self.storage = storage
        self.hub = hub
        self.editor = Editor(storage, hub, clock=lambda: 1_767_323_045_678)

    async def log(self) -> list[Change]:
        return await self.storage.changes_after(0)


@asynccontextmanager
async def process(url: str, *, tail: bool = True) -> AsyncIterator[Process]:
    storage = open_storage(url)
    await storage.open()
    hub = Hub(await storage.load())
    following = asyncio.create_task(follow(storage, hub.cursor.revision, hub.deliver)) if tail else None
    try:
        yield Process(storage, hub)
    finally:
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
        await storage.close()


def with_process(url: str, use: Callable[[Process], Awaitable[None]], *, tail: bool = True) -> None:
    async def run() -> None:
        async with process(url, tail=tail) as one:
            await use(one)

    asyncio.run(run())


def creating(*keys: str) -> Decide:
    def decide(state: State) -> Sequence[Edit]:
        return [edits.create_flag(state.ids, key=key, description="") for key in keys]

    return decide


def test_an_edit_is_readable_when_it_is_answered(database_url: str) -> None:
    async def use(one: Process) -> None:
        (flag,) = await one.editor.edit("eve", creating("a"))

        assert one.hub.snapshot.flags["a"] == flag
        assert (flag.revision, flag.snapshot_id, flag.updated_by) == (1, 1, "eve")
        assert flag.updated_at == "2026-01-02T03:04:05.678Z"
        (change,) = await one.log()
        assert (change.actor, change.timestamp, change.digest) == ("eve", 1_767_323_045_678, one.hub.snapshot.digest)

    with_process(database_url, use)


def test_several_edits_are_one_append_of_consecutive_revisions(database_url: str) -> None:
    async def use(one: Process) -> None:
        flags = await one.editor.edit(None, creating("a", "b", "c"))

        assert [(flag.key, flag.id, flag.revision) for flag in flags] == [("a", 1, 1), ("b", 2, 2), ("c", 3, 3)]

    with_process(database_url, use)


def test_what_decide_refuses_is_not_written(database_url: str) -> None:
    async def use(one: Process) -> None:
        with pytest.raises(InvalidFlag):
            await one.editor.edit(None, creating("a", "not a key"))

        assert await one.log() == []

    with_process(database_url, use)


@pytest.mark.parametrize("keys", [("a",), ("b", "b")], ids=["of another flag", "twice in one batch"])
def test_a_key_that_is_taken_is_refused(database_url: str, keys: tuple[str, ...]) -> None:
    async def use(one: Process) -> None:
        await one.editor.edit(None, creating("a"))

        with pytest.raises(InvalidFlag, match=f"key: '{keys[-1]}' is taken by flag"):
            await one.editor.edit(None, creating(*keys))

    with_process(database_url, use)


def test_decide_sees_the_deleted_flag_and_the_tag_it_asks_for(database_url: str) -> None:
    async def use(one: Process) -> None:
        (flag,) = await one.editor.edit(None, creating("a"))
        (tagged,) = await one.editor.edit(
            None, lambda state: [edits.attach_tag(flag, "t", state.tag, state.ids)], tag="t"
        )
        await one.editor.edit(None, lambda state: [edits.delete_flag(tagged)])
        seen: list[State] = []

        def look(state: State) -> Sequence[Edit]:
            seen.append(state)
            return []

        await one.editor.edit(None, look, deleted=flag.id, tag="t")
        await one.editor.edit(None, look, deleted=77, tag="none")

        assert [(state.deleted, state.tag) for state in seen] == [(tagged, Tag(1, "t")), (None, None)]

    with_process(database_url, use)


def test_two_processes_that_edit_at_once_lose_nothing_and_share_no_id(database_url: str) -> None:
    async def run() -> None:
        async with process(database_url) as one, process(database_url) as other:
            await asyncio.gather(
                *(one.editor.edit("one", creating(f"one-{n}")) for n in range(10)),
                *(other.editor.edit("other", creating(f"other-{n}")) for n in range(10)),
            )
            for each in (one, other):
                await each.hub.reached(20, timeout=10)

            log = await one.log()
            assert [change.revision for change in log] == list(range(1, 21))
            assert sorted(change.flag_id for change in log) == list(range(1, 21))
            assert {change.actor for change in log} == {"one", "other"}
            assert one.hub.snapshot == other.hub.snapshot

    asyncio.run(run())


def test_an_edit_is_decided_again_on_what_another_process_left(database_url: str) -> None:
    async def run() -> None:
        async with process(database_url) as one, process(database_url) as other:
            await one.editor.edit(None, creating("a"))
            await other.hub.reached(1, timeout=10)
            # The other process does not know this one yet when it decides for the first time.
            await one.editor.edit(
                None, lambda state: [edits.update_flag(state.snapshot.flags["a"], FlagPatch(notes="n"))]
            )
            (flag,) = await other.editor.edit(
                None, lambda state: [edits.enable_flag(state.snapshot.flags["a"], enabled=True)]
            )

            assert (flag.enabled, flag.notes, flag.revision) == (True, "n", 3)

    asyncio.run(run())


def test_whoever_lost_once_decides_the_second_time_while_nobody_else_can_write(database_url: str) -> None:
    async def run() -> None:
        async with process(database_url, tail=False) as one, process(database_url) as other:
            begun: list[asyncio.Task[Any]] = []

            def decide(state: State) -> Sequence[Edit]:
                if not begun:
                    # It could not know of the other's edit, and so loses; from now on it follows the log.
                    begun.append(asyncio.create_task(follow(one.storage, 0, one.hub.deliver)))
                # Whenever this one decides, the other process is about to write something else.
                begun.append(asyncio.create_task(other.editor.edit("other", creating(f"other-{len(begun)}"))))
                return creating("mine")(state)

            await other.editor.edit("other", creating("first"))
            (flag,) = await one.editor.edit("one", decide)
            tail, *edited = begun
            await asyncio.gather(*edited)
            tail.cancel()

            assert len(edited) == 2
            log = await one.log()
            assert [change.revision for change in log] == [1, 2, 3, 4]
            assert {change.flag_key for change in log} == {"first", "mine", "other-1", "other-2"}
            assert log[flag.revision - 1].actor == "one"

    asyncio.run(run())


def test_an_edit_that_cannot_see_what_others_wrote_gives_up_and_holds_nobody_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editor_module, "_DELIVERY_TIMEOUT", 0.01)

    async def run() -> None:
        async with process(database_url, tail=False) as blind, process(database_url) as other:
            await other.editor.edit(None, creating("a"))

            with pytest.raises(StorageUnavailable, match="revision 1 can't be read yet"):
                await blind.editor.edit(None, creating("b"))

            await other.editor.edit(None, creating("c"))
            assert [change.flag_key for change in await blind.log()] == ["a", "c"]

    asyncio.run(run())


def test_what_is_committed_counts_even_if_it_is_delivered_late(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(editor_module, "_DELIVERY_TIMEOUT", 0.01)

    async def use(one: Process) -> None:
        (flag,) = await one.editor.edit(None, creating("a"))

        assert flag.revision == 1
        assert "revision 1 is committed, but was not delivered" in caplog.text

    with_process(database_url, use, tail=False)


def test_an_edit_does_not_wait_for_ever_for_its_turn(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editor_module, "_TURN_TIMEOUT", 0.01)
    # Long enough for the second edit to give up; ended by closing, not waited for.
    monkeypatch.setattr(editor_module, "_DELIVERY_TIMEOUT", 0.2)

    async def use(one: Process) -> None:
        first = asyncio.create_task(one.editor.edit(None, creating("a")))
        await asyncio.sleep(0)

        with pytest.raises(StorageUnavailable, match="too many edits"):
            await one.editor.edit(None, creating("b"))

        assert [flag.key for flag in await first] == ["a"]

    with_process(database_url, use, tail=False)


def test_streams_are_told_of_an_edit_before_it_is_answered(database_url: str) -> None:
    async def use(one: Process) -> None:
        order: list[str] = []

        async def listen(bell: asyncio.Event) -> None:
            await bell.wait()
            order.append("told")

        # Many, because it is not said in which order bells ring.
        bells = [asyncio.Event() for _ in range(20)]
        listening = [asyncio.create_task(listen(bell)) for bell in bells]
        for bell in bells:
            one.hub.add_bell(bell.set)
        await one.editor.edit("eve", creating("a"))
        order.append("answered")
        await asyncio.gather(*listening)

        assert order == [*["told"] * len(bells), "answered"]

    with_process(database_url, use)
