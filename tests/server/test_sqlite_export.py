"""The SQLite export over HTTP."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rest import Rest

TABLES = {
    "flags": "id key description created_by updated_by enabled snapshot_id notes data_records_enabled entity_type "
    "environment_id project_id depends_on created_at updated_at deleted_at",
    "segments": "id flag_id description rank rollout_percent created_at updated_at deleted_at",
    "variants": "id flag_id key attachment created_at updated_at deleted_at",
    "constraints": "id segment_id property operator value created_at updated_at deleted_at",
    "distributions": "id segment_id variant_id variant_key percent bitmap created_at updated_at deleted_at",
    "tags": "id value created_at updated_at deleted_at",
    "flags_tags": "id flag_id tag_id",
    "flag_snapshots": "id flag_id updated_by flag created_at updated_at deleted_at",
    "flag_entity_types": "id key created_at updated_at deleted_at",
    "users": "id email created_at updated_at deleted_at",
}
ITEM = {
    "key": "a",
    "enabled": True,
    "entityType": "user",
    "notes": "n",
    "tags": ["t1", "t2"],
    "variants": [{"key": "on", "attachment": {"color": "blue"}}, {"key": "off"}],
    "segments": [
        {
            "rank": 3,
            "description": "s",
            "rolloutPercent": 40,
            "constraints": [{"property": "p", "operator": "EQ", "value": "x"}],
            "distributions": [{"variantKey": "on", "percent": 100}],
        }
    ],
}


@pytest.fixture
def filled(rest: Rest) -> Rest:
    """A server with a full flag, a deleted one, one that is gone for good and one restored: eight changes."""
    rest.post("/import", {"content": json.dumps({"flags": [ITEM]})})
    for key in ("deleted", "gone", "restored"):
        rest.flag(key)
    rest.delete("/flags/2")
    rest.delete("/flags/3/permanent")
    rest.delete("/flags/4")
    rest.put("/flags/4/restore")
    return rest


@pytest.fixture
def export(filled: Rest, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The export of that server, opened."""
    with closing(opened(filled, tmp_path)) as connection:
        yield connection


def opened(rest: Rest, directory: Path, query: str = "") -> sqlite3.Connection:
    answer = rest.ask("GET", f"/export/sqlite{query}")
    assert answer.status_code == 200, answer.text
    path = directory / "export.sqlite"
    path.write_bytes(answer.content)
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    return connection


def rows(connection: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table without their dates."""
    found = [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY id")]
    return [{name: value for name, value in row.items() if not name.endswith("_at")} for row in found]


def test_the_answer_is_a_file_to_save(rest: Rest) -> None:
    answer = rest.ask("GET", "/export/sqlite")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="flagent_export.sqlite"'
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.content.startswith(b"SQLite format 3\0")


def test_tables_and_columns_are_those_of_flagent(export: sqlite3.Connection) -> None:
    names = [row["name"] for row in export.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]

    found = {name: " ".join(row["name"] for row in export.execute(f"PRAGMA table_info({name})")) for name in names}

    assert found == TABLES


def test_a_flag_and_its_parts_have_a_row_each(export: sqlite3.Connection) -> None:
    assert rows(export, "flags")[0] == {
        "id": 1,
        "key": "a",
        "description": "",
        "created_by": None,
        "updated_by": None,
        "enabled": 1,
        "snapshot_id": 1,
        "notes": "n",
        "data_records_enabled": 0,
        "entity_type": "user",
        "environment_id": None,
        "project_id": None,
        "depends_on": None,
    }
    assert rows(export, "segments") == [{"id": 1, "flag_id": 1, "description": "s", "rank": 3, "rollout_percent": 40}]
    assert rows(export, "constraints") == [
        {"id": 1, "segment_id": 1, "property": "p", "operator": "EQ", "value": "x"},
    ]
    assert rows(export, "distributions") == [
        {"id": 1, "segment_id": 1, "variant_id": 1, "variant_key": "on", "percent": 100, "bitmap": None},
    ]
    assert rows(export, "variants") == [
        {"id": 1, "flag_id": 1, "key": "on", "attachment": '{"color":"blue"}'},
        {"id": 2, "flag_id": 1, "key": "off", "attachment": None},
    ]
    assert rows(export, "tags") == [{"id": 1, "value": "t1"}, {"id": 2, "value": "t2"}]
    assert rows(export, "flags_tags") == [{"id": 1, "flag_id": 1, "tag_id": 1}, {"id": 2, "flag_id": 1, "tag_id": 2}]
    assert rows(export, "flag_entity_types") == [{"id": 1, "key": "user"}]
    assert rows(export, "users") == []


def test_deleted_flags_have_the_date_and_those_gone_for_good_are_left_out(export: sqlite3.Connection) -> None:
    found = {row["key"]: row["deleted_at"] is not None for row in export.execute("SELECT key, deleted_at FROM flags")}

    assert found == {"a": False, "deleted": True, "restored": False}


def test_the_history_has_every_state_of_a_flag_under_its_snapshot_id(export: sqlite3.Connection) -> None:
    snapshots = {row["id"]: json.loads(row["flag"]) for row in export.execute("SELECT id, flag FROM flag_snapshots")}

    assert {number: flag["key"] for number, flag in snapshots.items()} == {
        1: "a",
        2: "deleted",
        3: "gone",
        4: "restored",
        8: "restored",
    }
    assert snapshots[1]["segments"][0]["constraints"][0]["value"] == "x"
    assert {row["snapshot_id"] for row in export.execute("SELECT snapshot_id FROM flags")} == {1, 2, 8}


def test_the_history_can_be_left_out(filled: Rest, tmp_path: Path) -> None:
    with closing(opened(filled, tmp_path, "?exclude_snapshots=true")) as connection:
        assert rows(connection, "flag_snapshots") == []
        assert {row["snapshot_id"] for row in rows(connection, "flags")} == {0}


def test_dates_are_those_of_the_changes(filled: Rest, tmp_path: Path) -> None:
    segment = {"description": "changed", "rolloutPercent": 40}
    filled.put("/flags/1/segments/1", segment)
    created, updated = (
        next(change.timestamp for change in filled.changes(0) if change.revision == revision) for revision in (1, 9)
    )

    with closing(opened(filled, tmp_path)) as connection:
        query = (
            "SELECT CAST(ROUND((julianday(created_at) - 2440587.5) * 86400000) AS INTEGER), "
            "CAST(ROUND((julianday(updated_at) - 2440587.5) * 86400000) AS INTEGER) FROM "
        )
        assert tuple(connection.execute(query + "segments").fetchone()) == (created, updated)
        assert tuple(connection.execute(query + "constraints").fetchone()) == (created, created)


def test_a_long_history_is_exported_whole(filled: Rest, tmp_path: Path) -> None:
    flags = [{"key": f"k{number}"} for number in range(1500)]
    filled.post("/import", {"content": json.dumps({"flags": flags})})

    with closing(opened(filled, tmp_path)) as connection:
        (count,) = connection.execute("SELECT COUNT(*) FROM flag_snapshots").fetchone()
        (live,) = connection.execute("SELECT COUNT(*) FROM flags").fetchone()

    assert (count, live) == (1505, 1503)


def test_no_temporary_file_is_left(filled: Rest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))

    filled.ask("GET", "/export/sqlite")

    assert list(directory.iterdir()) == []
