"""The plugin in a project of somebody else: run as its users run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_APP = """
import flagent
flags = flagent.connect("http://127.0.0.1:9")
def checkout(user):
    return "new" if flags.is_enabled("new_checkout", user) else "old"
"""


def run(folder: Path, tests: str, *options: str, ini: str = "") -> str:
    """Run tests of a project with a program `app`, in a pytest of their own, and return what it prints."""
    (folder / "app.py").write_text(_APP)
    (folder / "test_app.py").write_text(tests)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = .\nfilterwarnings = error\n{ini}")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert result.returncode in (0, 1), result.stdout + result.stderr
    return result.stdout


def test_program_starts_without_a_server_and_flags_are_what_tests_say(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
import app
from flagent.testing import override

def test_new(flagent_flags):
    flagent_flags["new_checkout"] = True
    assert app.checkout("u") == "new"

def test_old(flagent_flags):
    flagent_flags["new_checkout"] = False
    assert app.checkout("u") == "old"

@override(new_checkout=True)
def test_decorated():
    assert app.checkout("u") == "new"
""",
    )

    assert "3 passed" in said


def test_the_same_under_xdist(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
import app, pytest

@pytest.mark.parametrize("number", range(20))
def test_it(flagent_flags, number):
    flagent_flags["new_checkout"] = number % 2 == 0
    assert app.checkout("u") == ("old" if number % 2 else "new")
""",
        "-n",
        "2",
    )

    assert "20 passed" in said


def test_unknown_flag_fails_the_test_also_when_the_program_catches_it(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
import app

def test_unknown():
    app.checkout("u")

def test_caught():
    try:
        app.checkout("u")
    except Exception:
        pass

def test_in_a_thread():
    import threading
    def work():
        try:
            app.checkout("u")
        except AssertionError:
            pass
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

def test_known(flagent_flags):
    flagent_flags["new_checkout"] = True
    app.checkout("u")
""",
    )

    assert "3 failed, 1 passed" in said
    assert said.count("the test says nothing about flag 'new_checkout': set it with the fixture `flagent_flags`") >= 3


def test_nothing_else_reaches_for_a_server(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
import asyncio, flagent, pytest
from flagent.testing import SocketsBlocked

def test_client():
    with flagent.FlagentClient("http://127.0.0.1:9") as client, pytest.raises(SocketsBlocked, match="live_server"):
        client.list_flags()

def test_manager_of_the_server(flagent_flags):
    flagent_flags["new_checkout"] = True
    with flagent.Manager("http://127.0.0.1:9") as manager:
        assert manager.is_enabled("new_checkout", "u")

def test_asyncio(flagent_flags):
    async def run():
        flagent_flags["new_checkout"] = True
        async with flagent.AsyncOfflineManager("http://127.0.0.1:9") as manager:
            await manager.enable_realtime_updates()
            assert manager.is_enabled("new_checkout", "u")
            assert not manager.is_realtime_enabled()
    asyncio.run(run())

def test_own_flags_are_known():
    with flagent.OfflineManager({"mine": True}) as manager:
        assert manager.is_enabled("mine", "u")

@pytest.mark.flagent_sockets
def test_marked():
    with flagent.FlagentClient("http://127.0.0.1:9") as client, pytest.raises(flagent.TransportError):
        client.list_flags()
""",
    )

    assert "5 passed" in said


def test_live_server_is_a_real_one(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
import flagent

def test_live(live_server):
    live_server.set("new_checkout", True)
    with flagent.connect(live_server.url) as flags:
        assert flags.is_enabled("new_checkout", "u")
        live_server.set("new_checkout", False)
        live_server.wait_for(flags)
        assert not flags.is_enabled("new_checkout", "u")
        assert flags.is_realtime_enabled()

def test_after_it_nothing_is_known():
    import pytest
    from flagent.testing import UnknownFlag
    from flagent.testing.interception import is_blocked
    assert is_blocked()
""",
    )

    assert "2 passed" in said


def test_fixtures_are_listed_with_what_they_are(tmp_path: Path) -> None:
    said = run(tmp_path, "def test_it(): pass", "--fixtures")

    assert "flagent_flags" in said
    assert "live_server" in said


def test_projects_may_leave_everything_as_it_is(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
import flagent, pytest

def test_it():
    with pytest.raises(flagent.TransportError):
        flagent.connect("http://127.0.0.1:9", timeout=0.5)
""",
        ini="flagent_sockets = allow\n",
    )

    assert "1 passed" in said


def test_setting_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="neither 'block' nor 'allow'"):
        run(tmp_path, "def test_it(): pass", ini="flagent_sockets = never\n")
