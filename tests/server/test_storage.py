"""The storage on a real database file: what is appended is what is read, loaded and restored."""

from collections.abc import Callable

import pytest
from stored import Writer, with_storage, writer_of

from flagent.core import edits
from flagent.core.changes import FlagRef
from flagent.core.edits import FlagPatch
from flagent.core.ids import Allocator, Ids
from flagent.core.model import Tag
from flagent.errors import Diverged
from flagent.server.storage import Overtaken, Storage, Stored, log
from flagent.server.storage.schema import change_log


def test_a_database_keeps_its_epoch_and_another_has_another(database_url: str, new_database: Callable[[], str]) -> None:
    first = with_storage(database_url, Storage.load)
    again = with_storage(database_url, Storage.load)
    other = with_storage(new_database(), Storage.load)

    assert (first.snapshot.revision, first.snapshot.flags, first.ids) == (0, {}, Ids())
    assert first.snapshot.epoch == again.snapshot.epoch != other.snapshot.epoch


def test_what_was_appended_is_read_and_loaded_after_a_restart(database_url: str) -> None:
    async def write(storage: Storage) -> Writer:
        writer = await writer_of(storage)
        flag = await writer.create("a", "simple_boolean_flag")
        await writer.write(edits.update_flag(flag, FlagPatch(key="b", entity_type="user")))
        return writer

    writer = with_storage(database_url, write)
    stored = with_storage(database_url, Storage.load)
    changes = with_storage(database_url, lambda storage: storage.changes_after(0))
    later = with_storage(database_url, lambda storage: storage.changes_after(1, limit=1))

    assert stored.snapshot == writer.snapshot
    assert stored.ids == writer.ids
    assert changes == writer.log
    assert later == writer.log[1:]


def test_the_changes_just_written_are_the_ones_the_log_holds(database_url: str) -> None:
    async def write(storage: Storage) -> None:
        writer = await writer_of(storage)
        await writer.create("a")
        await writer.create("b")

        assert await storage.changes_after(1) == writer.log[1:]
        assert await storage.changes_after(0) == writer.log
        assert await storage.changes_after(2) == []

    with_storage(database_url, write)


def test_the_second_of_two_writers_at_one_revision_gets_a_conflict_and_writes_nothing(database_url: str) -> None:
    async def race(storage: Storage) -> None:
        first, second = await writer_of(storage), await writer_of(storage)
        await first.create("a")

        with pytest.raises(Overtaken, match="revision 0"):
            await second.create("b")

        stored = await storage.load()
        assert (set(stored.snapshot.flags), stored.snapshot.revision, stored.ids.flag) == ({"a"}, 1, 1)

    with_storage(database_url, race)


def test_a_batch_that_fails_in_the_middle_leaves_nothing_behind(database_url: str) -> None:
    async def write(storage: Storage) -> None:
        writer = await writer_of(storage)
        before = writer.snapshot
        ids = Allocator(writer.ids)
        first = edits.create_flag(ids, key="a", description="")
        changes, _ = edits.stamp(before, [first], actor=None, now_ms=0)

        with pytest.raises(Exception, match=r"(?i)unique"):
            await storage.append([changes[0], changes[0]], ids=ids.ids)

        stored = await storage.load()
        assert (stored.snapshot, stored.ids, await storage.changes_after(0)) == (before, Ids(), [])

    with_storage(database_url, write)


def test_a_deleted_flag_stays_as_it_was_until_it_is_deleted_for_good(database_url: str) -> None:
    async def write(storage: Storage) -> None:
        writer = await writer_of(storage)
        flag = await writer.create("a", "simple_boolean_flag")
        await writer.write(edits.delete_flag(flag))

        assert (await storage.load()).snapshot.flags == {}
        assert await storage.deleted_flags() == [flag]
        assert await storage.deleted_flag(flag.id) == flag
        assert await storage.deleted_owners(["a", *map(str, range(1000))]) == {"a": flag.id}

        await writer.write(edits.delete_flag(flag, permanent=True))
        assert await storage.deleted_flags() == []
        assert await storage.deleted_owners(["a"]) == {}
        assert (await writer.create("a")).id == flag.id + 1

    with_storage(database_url, write)


def test_a_restored_flag_is_loaded_again(database_url: str) -> None:
    async def write(storage: Storage) -> None:
        writer = await writer_of(storage)
        flag = await writer.create("a")
        await writer.write(edits.delete_flag(flag))
        await writer.write(edits.restore_flag(flag))

        assert (await storage.load()).snapshot == writer.snapshot
        assert await storage.deleted_flags() == []

    with_storage(database_url, write)


def test_the_history_shows_every_state_but_deletions(database_url: str) -> None:
    async def write(storage: Storage) -> None:
        writer = await writer_of(storage)
        flag = await writer.create("a")
        await writer.create("other")
        await writer.write(edits.enable_flag(flag, enabled=True))
        await writer.write(edits.delete_flag(flag))
        await writer.write(edits.restore_flag(flag))

        newest = await storage.history(flag.id)
        assert [change.revision for change in newest] == [5, 3, 1]
        assert newest == [writer.log[4], writer.log[2], writer.log[0]]
        page = await storage.history(flag.id, newest_first=False, limit=1, offset=1)
        assert [change.revision for change in page] == [3]

    with_storage(database_url, write)


def test_tags_and_entity_types_outlive_the_flags_that_had_them(database_url: str) -> None:
    async def write(storage: Storage) -> None:
        writer = await writer_of(storage)
        flag = await writer.create("a")
        ids = Allocator(writer.ids)
        tagged = edits.attach_tag(edits.attach_tag(flag, "Team_A", None, ids).flag, "TeamXA", None, ids)
        await writer.write(tagged, ids=ids)
        typed = edits.update_flag(writer.snapshot.flags["a"], FlagPatch(entity_type="user"))
        await writer.write(typed)
        await writer.write(edits.delete_flag(writer.snapshot.flags["a"]))

        assert await storage.tags() == [Tag(1, "Team_A"), Tag(2, "TeamXA")]
        assert await storage.tags(value_like="AMX") == [Tag(2, "TeamXA")]
        assert await storage.tags(value_like="team_a") == [Tag(1, "Team_A")]
        assert await storage.tags(value_like="%") == []
        assert await storage.tags(limit=1, offset=1) == [Tag(2, "TeamXA")]
        assert await storage.tag_of("Team_A") == Tag(1, "Team_A")
        assert await storage.tag_of("team_a") is None
        assert await storage.entity_types() == ["user"]

    with_storage(database_url, write)


def test_tombstones_are_the_deletions_and_renames_of_the_log(database_url: str) -> None:
    async def write(storage: Storage) -> Stored:
        writer = await writer_of(storage)
        flag = await writer.create("a")
        await writer.write(edits.update_flag(flag, FlagPatch(key="b")))
        await writer.write(edits.delete_flag(writer.snapshot.flags["b"]))
        return await storage.load()

    stored = with_storage(database_url, write)

    assert stored.tombstones == ((2, FlagRef(1, "a")), (3, FlagRef(1, "b")))
    assert stored.tombstones_since == 0


def test_only_the_newest_tombstones_are_loaded(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MAX_TOMBSTONES", 2)

    async def write(storage: Storage) -> Stored:
        writer = await writer_of(storage)
        for key in ("a", "b", "c"):
            await writer.write(edits.delete_flag(await writer.create(key)))
        return await storage.load()

    stored = with_storage(database_url, write)

    assert [ref.key for _, ref in stored.tombstones] == ["b", "c"]
    assert stored.tombstones_since == 3


async def _three_and_one_deleted(storage: Storage) -> Writer:
    writer = await writer_of(storage)
    await writer.create("a")
    flag = await writer.create("b")
    await writer.write(edits.delete_flag(flag))
    return writer


async def _cut_off(storage: Storage) -> None:
    await storage._write(lambda connection: connection.execute(change_log.delete().where(change_log.c.revision < 3)))


@pytest.mark.covers("F55")
def test_a_log_that_was_cut_off_is_not_taken_for_a_whole_one(database_url: str) -> None:
    writer = with_storage(database_url, _three_and_one_deleted)
    with_storage(database_url, _cut_off)

    stored = with_storage(database_url, Storage.load)
    rest = with_storage(database_url, lambda storage: storage.changes_after(2))

    assert stored.tombstones_since == 2
    assert rest == writer.log[2:]
    with pytest.raises(Diverged, match="does not reach back to 1"):
        with_storage(database_url, lambda storage: storage.changes_after(1))


@pytest.mark.covers("F55")
def test_a_server_that_has_not_read_what_was_cut_off_finds_out(database_url: str) -> None:
    with_storage(database_url, _three_and_one_deleted)

    async def cut_off_all(storage: Storage) -> None:
        await storage._write(lambda connection: connection.execute(change_log.delete()))

    with_storage(database_url, cut_off_all)

    assert with_storage(database_url, Storage.load).tombstones_since == 3
    assert with_storage(database_url, lambda storage: storage.changes_after(3)) == []
    with pytest.raises(Diverged):
        with_storage(database_url, lambda storage: storage.changes_after(2))
