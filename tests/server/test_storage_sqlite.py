"""SQLite as the engine: addresses, files that are none, locks, migrations."""

import asyncio
import errno
import re
import shutil
import sqlite3
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlite_calls import failing_writes
from stored import with_storage, writer_of

from flagent.core import edits
from flagent.core.changes import Change
from flagent.core.edits import SIMPLE_BOOLEAN_FLAG, FlagPatch
from flagent.errors import Closed, ConfigurationError, StorageUnavailable
from flagent.server.storage import Storage, Stored, migrate, open_storage
from flagent.server.storage.schema import metadata
from flagent.server.storage.sqlite import Sqlite


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql+pymysql://u:secret@h/d", "'mysql\\+pymysql'"),
        ("sqlite://", "path of a file"),
        ("sqlite:///:memory:", "path of a file"),
        ("no url, but a secret", "can't be read"),
        ("postgresql://u:secret@h:port/d", "can't be read"),
    ],
    ids=["mysql", "no path", "memory", "no url", "bad port"],
)
def test_other_urls_are_refused_without_their_secrets(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        open_storage(url)

    assert "secret" not in str(caught.value)


def test_the_migrations_make_the_tables_that_the_statements_use(tmp_path: Path) -> None:
    with_storage(tmp_path / "a.db", Storage.load)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}")

    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    engine.dispose()
    assert differences == []


def test_a_database_of_an_earlier_version_keeps_its_log_and_its_flags(tmp_path: Path) -> None:
    expected = _write_old(tmp_path)

    found = with_storage(tmp_path / "old.db", _read)

    assert found == expected
    assert len(found[1]) == 5
    with_storage(tmp_path / "old.db", write_more)
    assert with_storage(tmp_path / "old.db", Storage.load).snapshot.revision == 6
    assert _indexes(tmp_path / "old.db") == _indexes(tmp_path / "new.db")


@pytest.mark.covers("F73", "I10")
def test_a_disk_that_is_full_in_the_middle_of_an_upgrade_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    expected = _write_old(tmp_path)
    refused = good_writes = done = 0

    def fails() -> int:
        nonlocal done
        done += 1
        return errno.ENOSPC if done > good_writes else 0

    while True:
        trial, done = tmp_path / f"trial{good_writes}.db", 0
        shutil.copy(tmp_path / "old.db", trial)
        try:
            with failing_writes(fails):
                with_storage(trial, Storage.load)
        except StorageUnavailable as exc:
            assert re.fullmatch("database: (database or disk is full|disk I/O error)", str(exc))
            refused += 1
        else:
            break
        assert with_storage(trial, _read) == expected
        good_writes += 3

    assert refused > 2
    assert with_storage(trial, _read) == expected


def _write_old(folder: Path) -> tuple[Stored, list[Change]]:
    """Write a database, and the same as version 0003 had it; return what is in both."""

    async def write(storage: Storage) -> None:
        writer = await writer_of(storage)
        renamed, gone = await writer.create("a", SIMPLE_BOOLEAN_FLAG), await writer.create("b")
        await writer.write(edits.update_flag(renamed, FlagPatch(key="other")), edits.delete_flag(gone))
        await writer.create("c")

    with_storage(folder / "new.db", write)
    _copy_to_version("0003", folder / "new.db", folder / "old.db")
    return with_storage(folder / "new.db", _read)


async def _read(storage: Storage) -> tuple[Stored, list[Change]]:
    return await storage.load(), await storage.changes_after(0)


async def write_more(storage: Storage) -> None:
    await (await writer_of(storage)).create("d")


def _copy_to_version(version: str, source: Path, target: Path) -> None:
    """Make a database as that version had it, with all that is in another one."""
    engine = sa.create_engine(f"sqlite:///{target}")
    config = Config()
    config.set_main_option("script_location", str(migrate._SCRIPTS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        connection.exec_driver_sql(f"ATTACH '{source}' AS newer")
        for table in metadata.sorted_tables:
            connection.exec_driver_sql(f"INSERT INTO main.{table.name} SELECT * FROM newer.{table.name}")
    engine.dispose()


def _indexes(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' ORDER BY name").fetchall()
    connection.close()
    return found


def test_an_edit_writes_a_page_for_each_table_and_index_that_it_is_about(tmp_path: Path) -> None:
    async def write(storage: Storage) -> list[int]:
        writer, wal, sizes = await writer_of(storage), tmp_path / "a.db-wal", []
        flag = await writer.create("a")
        for number in range(30):
            await writer.write(edits.update_flag(flag, FlagPatch(description=f"number {number}")))
            sizes.append(wal.stat().st_size)
        return sizes

    sizes = with_storage(tmp_path / "a.db", write)

    # The head of the log, the log with the indexes of its flags and moments, and the flag.
    pages = [(after - before) / (24 + 4096) for before, after in pairwise(sizes)]
    assert median(pages) == 5


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no directory '.*missing'"):
        with_storage(tmp_path / "missing" / "a.db", Storage.load)


def test_a_path_with_a_percent_sign_works(tmp_path: Path) -> None:
    path = tmp_path / "100%s"
    path.mkdir()

    assert with_storage(path / "a.db", Storage.load).snapshot.revision == 0


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("not a database, but long enough to have a header" * 10)

    with pytest.raises(StorageUnavailable, match="database: file is not a database"):
        with_storage(tmp_path / "a.db", Storage.load)


def test_a_watch_of_a_file_that_is_no_database_any_more_says_that_it_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database = Sqlite(sa.make_url(f"sqlite:///{path}"))
    reader = database.reader(1)
    watch = database.watch(reader)
    watch.end()
    assert watch.changed()
    path.write_text("not a database, but long enough to have a header" * 10)

    with pytest.raises(StorageUnavailable, match="database: file is not a database"):
        watch.changed()

    watch.close()
    reader.dispose()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with_storage(tmp_path / "a.db", Storage.load)
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    with pytest.raises(ConfigurationError, match="newer version of flagent"):
        with_storage(tmp_path / "a.db", Storage.load)


@pytest.mark.covers("F74")
def test_a_locked_database_refuses_writes_and_still_answers_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagent.server.storage.sqlite._BUSY_TIMEOUT", 0.05)

    async def write(storage: Storage) -> None:
        writer = await writer_of(storage)
        foreign = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")

        with pytest.raises(StorageUnavailable, match="database is locked"):
            await writer.create("a")

        assert (await storage.load()).snapshot.revision == 0
        foreign.execute("ROLLBACK")
        foreign.close()
        assert (await (await writer_of(storage)).create("a")).id == 1

    with_storage(tmp_path / "a.db", write)


def test_an_unreadable_entry_of_the_log_is_named(tmp_path: Path) -> None:
    async def write(storage: Storage) -> None:
        await (await writer_of(storage)).create("a")

    with_storage(tmp_path / "a.db", write)
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("UPDATE change_log SET flag = '{'")
    connection.close()

    with pytest.raises(StorageUnavailable, match="change 1 can't be read"):
        with_storage(tmp_path / "a.db", lambda storage: storage.changes_after(0))


def test_a_closed_storage_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        storage = open_storage(f"sqlite:///{tmp_path / 'a.db'}")
        await storage.open()
        await storage.close()
        await storage.close()

        with pytest.raises(Closed):
            await storage.load()

    asyncio.run(run())
