"""Starting without the server, on what an earlier process has left; and never claiming that it is fresh."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from pathlib import Path

import pytest
from live import LiveServer
from rest import Rest
from sdk_parts import ManagerOf, Recording
from waiting import until

from flagent import (
    AsyncOfflineManager,
    ConfigurationError,
    FlagentClient,
    FlagentError,
    OfflineConfig,
    OfflineManager,
    Source,
    State,
)


@pytest.fixture
def kept(rest: Rest, live_server: LiveServer, tmp_path: Path) -> Path:
    """A folder with the flags of a server, which has been stopped since."""
    folder = tmp_path / "kept"
    with OfflineManager(live_server.url, OfflineConfig(storage_dir=folder)) as manager:
        assert manager.is_enabled("new_feature", "u1")
    live_server.stop()
    return folder


@pytest.mark.covers("F72")
def test_flags_are_there_although_the_server_is_not(kept: Path, live_server: LiveServer, manager_of: ManagerOf) -> None:
    manager = manager_of(live_server.url, storage_dir=kept)

    manager.bootstrap()

    assert manager.is_enabled("new_feature", "u1")
    status = manager.status
    assert (status.state, status.source) == (State.OFFLINE, Source.DISK)
    assert status.staleness is not None and status.staleness_bound is None
    assert not manager.is_realtime_enabled()


def test_and_so_they_are_with_one_call(kept: Path, live_server: LiveServer) -> None:
    import flagent

    with flagent.connect(live_server.url, config=OfflineConfig(storage_dir=kept), timeout=0.5) as manager:
        assert manager.is_enabled("new_feature", "u1")


def test_and_in_asyncio(kept: Path, live_server: LiveServer) -> None:
    async def run() -> None:
        async with AsyncOfflineManager(live_server.url, OfflineConfig(storage_dir=kept)) as manager:
            assert manager.is_enabled("new_feature", "u1")
            assert manager.status.source is Source.DISK

    asyncio.run(run())


@pytest.mark.covers("F69")
def test_they_are_another_keys_own(kept: Path, live_server: LiveServer, manager_of: ManagerOf) -> None:
    manager = manager_of(FlagentClient(live_server.url, api_key="other"), storage_dir=kept)

    with pytest.raises(FlagentError):
        manager.bootstrap()
    assert not manager.is_ready()


def test_when_the_server_answers_they_are_fresh_without_a_download(
    rest: Rest, live_server: LiveServer, tmp_path: Path, manager_of: ManagerOf
) -> None:
    folder = tmp_path / "kept"
    with OfflineManager(live_server.url, OfflineConfig(storage_dir=folder)) as manager:
        manager.enable_realtime_updates()
    recording = Recording()
    client = FlagentClient(live_server.url, http_client=recording)
    manager = manager_of(client, storage_dir=folder)

    manager.bootstrap()

    assert manager.status.source is Source.POLL
    assert manager.status.state is State.POLLING
    assert recording.downloads == 1
    requests = live_server.services.metrics.text().decode()
    assert 'flagent_requests_total{group="export",status="304"} 1.0' in requests


def test_what_changed_since_arrives_over_the_stream(
    rest: Rest, live_server: LiveServer, tmp_path: Path, manager_of: ManagerOf
) -> None:
    folder = tmp_path / "kept"
    with OfflineManager(live_server.url, OfflineConfig(storage_dir=folder)):
        pass
    live_server.switch(1, False)
    manager = manager_of(live_server.url, storage_dir=folder)

    manager.enable_realtime_updates()

    assert not manager.is_enabled("new_feature", "u1")
    accepts = live_server.services.metrics.text().decode()
    assert 'flagent_streams_opened_total{resume="changes"} 1.0' in accepts


def test_changes_are_kept_soon(rest: Rest, live_server: LiveServer, tmp_path: Path, manager_of: ManagerOf) -> None:
    manager = manager_of(live_server.url, storage_dir=tmp_path / "kept")
    manager.bootstrap()
    manager.enable_realtime_updates()
    live_server.create_flag("later", enabled=True)
    until(lambda: manager.is_enabled("later", "u1"))

    # Not at the end, which may never come.
    revision = f'"{manager.status.cursor}"'.encode()
    until(lambda: any(revision in path.read_bytes()[:400] for path in (tmp_path / "kept").glob("*.flags")))


@pytest.mark.covers("F68")
def test_a_disk_that_takes_nothing_is_told_and_changes_nothing_else(
    rest: Rest, live_server: LiveServer, tmp_path: Path, manager_of: ManagerOf, caplog: pytest.LogCaptureFixture
) -> None:
    """F68."""
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING, "flagent.client"):
        manager = manager_of(live_server.url, storage_dir=tmp_path / "file" / "folder")
        manager.bootstrap()
        manager.enable_realtime_updates()

        until(lambda: manager.status.cache_error is not None)

    assert "can't be kept on disk" in caplog.text
    live_server.switch(1, False)
    until(lambda: not manager.is_enabled("new_feature", "u1"))
    assert manager.status.state is State.LIVE


@pytest.mark.covers("F68")
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT], ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_disk_that_fails_for_a_while_is_told_and_used_again(
    rest: Rest,
    live_server: LiveServer,
    tmp_path: Path,
    manager_of: ManagerOf,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    error: int,
) -> None:
    monkeypatch.setattr("flagent.client.saving._GATHER", 0.01)
    monkeypatch.setattr("flagent.client.saving._RETRY", 0.01)
    folder = tmp_path / "kept"
    with OfflineManager(live_server.url, OfflineConfig(storage_dir=folder)):
        pass
    before = sorted(folder.iterdir())
    manager = manager_of(live_server.url, storage_dir=folder)
    manager.bootstrap()
    manager.enable_realtime_updates()

    def fails(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        live_server.switch(1, False)
        until(lambda: manager.status.cache_error is not None)
        assert os.strerror(error) in str(manager.status.cache_error)
        assert (manager.status.state, manager.is_enabled("new_feature", "u1")) == (State.LIVE, False)
        assert sorted(folder.iterdir()) == before

    until(lambda: manager.status.cache_error is None)
    revision = f'"{manager.status.cursor}"'.encode()
    assert sum(revision in path.read_bytes()[:400] for path in folder.iterdir()) == 1


def test_nothing_is_kept_where_nothing_shall_be(
    rest: Rest, live_server: LiveServer, tmp_path: Path, manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAGENT_STORAGE_DIR", str(tmp_path / "env"))
    manager = manager_of(live_server.url, enable_persistence=False)
    manager.bootstrap()
    manager.close()
    assert not (tmp_path / "env").exists()

    with OfflineManager(live_server.url):
        pass
    assert len(list((tmp_path / "env").iterdir())) == 1


@pytest.mark.parametrize("folder", [7, b"folder", ["folder"]])
def test_a_folder_is_a_path(folder: object) -> None:
    with pytest.raises(ConfigurationError, match="storage_dir"):
        OfflineConfig(storage_dir=folder)  # type: ignore[arg-type]
