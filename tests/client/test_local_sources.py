"""Managers on a file, or on flags of the program itself: no server, and everything else as with one."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from rest import Rest
from sdk_parts import ManagerOf
from waiting import until

import flagent
from flagent import AsyncOfflineManager, ConfigurationError, Filter, FlagentError, OfflineManager, Source, State


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "flags.json"
    write(path, {"new_checkout": True, "page_size": 42})
    return path


def write(path: Path, value: Any) -> None:
    # As a whole, like every program that changes files others read.
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value))
    fresh.replace(path)


def test_flags_of_a_mapping_are_there_at_once_and_need_no_thread(manager_of: ManagerOf) -> None:
    before = threading.active_count()

    manager = manager_of({"new_checkout": True, "page_size": 42, "theme": "dark", "beta": False})

    assert manager.is_enabled("new_checkout", "user123")
    assert manager.int_value("page_size", "user123") == 42
    assert manager.get_variant("theme", "user123") == "dark"
    assert not manager.is_enabled("beta", "user123")
    manager.bootstrap()
    manager.enable_realtime_updates()
    manager.refresh()
    assert threading.active_count() == before


def test_flags_of_a_mapping_are_never_out_of_date(manager_of: ManagerOf) -> None:
    manager = manager_of({"new_checkout": True})
    manager.bootstrap()

    status = manager.status

    assert (status.state, status.source, status.staleness, status.staleness_bound) == (
        State.LIVE,
        Source.BOOTSTRAP,
        0.0,
        0.0,
    )
    assert not manager.is_realtime_enabled()
    assert not manager.is_snapshot_expired()
    manager.close()
    assert manager.is_enabled("new_checkout", "user123")
    assert manager.status.state is State.CLOSED


def test_export_of_a_server_gives_everybody_the_same_as_the_server(rest: Rest, manager_of: ManagerOf) -> None:
    rest.put("/flags/1/segments/1", {"description": "", "rolloutPercent": 50})
    exported = rest.get("/export/eval_cache/json")
    server = manager_of(rest.server.url)
    server.bootstrap()

    manager = manager_of(exported)

    users = [f"user{number}" for number in range(200)]
    assert [manager.is_enabled("new_feature", user) for user in users] == [
        server.is_enabled("new_feature", user) for user in users
    ]


def test_file_is_read_and_followed(file: Path) -> None:
    seen: list[str] = []
    with flagent.connect(f"file://{file}") as manager:
        manager.on_change(lambda change: seen.append(change.flag_key))
        assert manager.is_enabled("new_checkout", "user123")
        assert manager.status.state is State.POLLING

        write(file, {"new_checkout": False, "page_size": 43, "more": "new"})

        until(lambda: manager.int_value("page_size", "user123") == 43)
        assert not manager.is_enabled("new_checkout", "user123")
        until(lambda: sorted(seen) == ["more", "new_checkout", "page_size"])


def test_file_that_breaks_changes_nothing_until_it_is_mended(file: Path, manager_of: ManagerOf) -> None:
    manager = manager_of(file, refresh_interval=0.02)
    manager.bootstrap()

    file.write_text('{"new_checkout": tru')

    until(lambda: manager.status.state is State.OFFLINE)
    assert str(file) in str(manager.status.last_error)
    assert manager.is_enabled("new_checkout", "user123")
    write(file, {"new_checkout": False})
    until(lambda: manager.status.state is State.POLLING)
    assert not manager.is_enabled("new_checkout", "user123")


def test_file_goes_back_to_an_older_export_when_somebody_puts_it_there(
    tmp_path: Path, rest: Rest, manager_of: ManagerOf
) -> None:
    older = rest.get("/export/eval_cache/json?view=full")
    rest.put("/flags/1/enabled", {"enabled": False})
    path = tmp_path / "flags.json"
    write(path, rest.get("/export/eval_cache/json?view=full"))
    manager = manager_of(path, refresh_interval=0.02)
    manager.bootstrap()
    assert not manager.is_enabled("new_feature", "user123")

    write(path, older)

    until(lambda: manager.is_enabled("new_feature", "user123"))


def test_yaml_file_is_a_document(tmp_path: Path, manager_of: ManagerOf) -> None:
    path = tmp_path / "flags.yaml"
    path.write_text("new_checkout: true\ntheme: dark\n")
    manager = manager_of(path)

    manager.bootstrap()

    assert manager.is_enabled("new_checkout", "user123")
    assert manager.str_value("theme", "user123") == "dark"


def test_file_that_is_not_there_is_named(tmp_path: Path, manager_of: ManagerOf) -> None:
    manager = manager_of(tmp_path / "missing.json")

    with pytest.raises(FlagentError, match=r"missing\.json: No such file"):
        manager.bootstrap()

    write(tmp_path / "missing.json", {"here": True})
    assert manager.wait_until_ready(5)
    assert manager.is_enabled("here", "user123")


@pytest.mark.parametrize("content", ["", "[]", "7", "{", '{"flags": [{"id": 1}]}', '{"bad key": 1}', "[" * 100_000])
def test_what_is_no_set_of_flags_is_refused(tmp_path: Path, manager_of: ManagerOf, content: str) -> None:
    path = tmp_path / "flags.json"
    path.write_text(content)
    manager = manager_of(path)

    with pytest.raises(FlagentError, match=r"flags\.json"):
        manager.bootstrap()

    assert not manager.is_ready()


@pytest.mark.parametrize("url", ["file:flags.json?x", "file://host/flags.json", "file:", "file:///a#b"])
def test_url_that_is_none_of_a_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="file"):
        OfflineManager(url)


def test_environment_may_name_a_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAGENT_URL", f"file://{file}")

    with flagent.connect() as manager:
        assert manager.int_value("page_size", "user123") == 42


def test_part_of_a_file_is_held(file: Path, manager_of: ManagerOf) -> None:
    manager = manager_of(file, filter=Filter(flag_keys=["page_size"]))

    manager.bootstrap()

    assert set(manager.evaluate_all("user123")) == {"page_size"}


def test_asyncio_has_the_same(file: Path) -> None:
    async def run() -> None:
        async with AsyncOfflineManager(file) as manager:
            assert manager.is_enabled("new_checkout", "user123")
        async with await flagent.connect_async({"new_checkout": True}) as manager:
            assert manager.is_enabled("new_checkout", "user123")

    asyncio.run(run())


def test_nothing_of_it_is_kept_on_disk(file: Path) -> None:
    with OfflineManager(file) as manager:
        assert manager.is_ready()

    folder = Path(os.environ["FLAGENT_STORAGE_DIR"])
    assert not folder.exists() or not list(folder.iterdir())
