"""`flagent warm`: what it leaves is what a program without the server starts on."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from live import LiveServer

from flagent import OfflineConfig, OfflineManager
from flagent.cli import main  # noqa: F401 - the group is below
from flagent.cli.commands import flagent


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(flagent, ["warm", *args])
    return result.exit_code, result.output


def test_program_starts_without_the_server_on_what_was_kept(live_server: LiveServer, tmp_path: Path) -> None:
    live_server.create_flag("new_feature", enabled=True)

    code, said = run(live_server.url, "--storage-dir", str(tmp_path / "kept"))
    live_server.stop()

    assert (code, said.split(" are kept")[0]) == (0, f"1 flags of {live_server.url}")
    with OfflineManager(live_server.url, OfflineConfig(storage_dir=tmp_path / "kept")) as manager:
        assert manager.is_enabled("new_feature", "user123")


def test_server_that_is_not_there_is_an_error_also_when_flags_are_kept(live_server: LiveServer, tmp_path: Path) -> None:
    run(live_server.url, "--storage-dir", str(tmp_path / "kept"))
    live_server.stop()

    code, said = run(live_server.url, "--storage-dir", str(tmp_path / "kept"), "--timeout", "1")

    assert code == 1
    assert live_server.url in said


@pytest.mark.parametrize("args", [("http://127.0.0.1:9", "--timeout", "0"), ("nowhere",)], ids=["timeout", "url"])
def test_what_can_not_be_used_has_exit_code_2(args: tuple[str, ...]) -> None:
    assert run(*args)[0] == 2
