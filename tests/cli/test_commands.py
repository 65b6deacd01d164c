from __future__ import annotations

import subprocess
import sys

import pytest
from program import run

from flagent import __version__


def test_version() -> None:
    assert run("--version") == (0, f"flagent {__version__}\n", "")


@pytest.mark.parametrize("command", ["serve", "watch", "eval", "demo"])
def test_every_command_explains_itself(command: str) -> None:
    code, output, _ = run(command, "--help")

    assert code == 0
    assert output.startswith(f"Usage: flagent {command} ")


def test_unknown_command_is_named() -> None:
    code, _, errors = run("serf")

    assert code == 2
    assert "serf" in errors


@pytest.mark.parametrize(
    ("missing", "command", "advice"),
    [
        ("click", "--version", "pip install 'flagent[cli]'"),
        ("starlette", "serve", "pip install 'flagent[server]'"),
        ("uvicorn", "demo", "pip install 'flagent[server]'"),
    ],
)
def test_missing_extra_is_named_with_the_way_to_get_it(missing: str, command: str, advice: str) -> None:
    # None makes the import fail as that of a library that is not installed does.
    program = f"import sys; sys.modules[{missing!r}] = None; from flagent.cli import main; main()"

    done = subprocess.run([sys.executable, "-c", program, command], capture_output=True, text=True, timeout=30)

    assert done.returncode == 2
    assert advice in done.stderr
    assert "Traceback" not in done.stderr


def test_what_needs_no_server_runs_without_its_libraries() -> None:
    program = "import sys; sys.modules['starlette'] = None; from flagent.cli import main; main()"

    done = subprocess.run([sys.executable, "-c", program, "eval"], input="", capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stderr) == (0, "")
