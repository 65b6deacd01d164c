"""The scripts, run on a project of their own; Python and its programs are fakes that write down their calls."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = ("bash", "cat", "chmod", "cksum", "cp", "dirname", "env", "grep", "head", "mkdir", "rm")

#: Stands for a Python; a copy of it becomes `.venv/bin/python`. What it installs are copies of `program`.
PYTHON = """#!/bin/sh
echo "python $*" >>"$CALLS"
case "$*" in
  *"-m venv"*)
    for venv; do :; done
    mkdir -p "$venv/bin"
    cp "$FAKES/python3" "$venv/bin/python"
    echo "#!$venv/bin/python" >"$venv/bin/pip" ;;
  *"pip install"*)
    [ ! -e "$FAKES/no-network" ] || exit 1
    bin=${0%/*}
    for name in flagent ruff mypy lint-imports; do cp "$FAKES/program" "$bin/$name"; done ;;
  --version) echo "Python 3.11.99" ;;
esac
"""
PROGRAM = """#!/bin/sh
echo "${0##*/} $*" >>"$CALLS"
[ "${0##*/} $1" != "$FAILS" ]
"""
TOO_OLD = "#!/bin/sh\nexit 1\n"
WITHOUT_VENV = '#!/bin/sh\ncase "$*" in *venv*) exit 1 ;; esac\n'


class Project:
    """A copy of the scripts in a folder where nothing is installed, and a path with nothing but fakes and tools."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a project"
        self.fakes = folder / "fakes"
        self.calls_file = folder / "calls"
        self.fakes.mkdir()
        self.root.mkdir()
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.root)
        for tool in TOOLS:
            (self.fakes / tool).symlink_to(shutil.which(tool) or pytest.skip(f"there is no {tool}"))
        self.fake("program", PROGRAM)

    def fake(self, name: str, text: str) -> None:
        path = self.fakes / name
        path.write_text(text)
        path.chmod(0o755)

    def run(
        self, script: str, *arguments: str, environ: Mapping[str, str] = {}, cwd: str = "/"
    ) -> subprocess.CompletedProcess[str]:
        self.calls_file.write_text("")
        return subprocess.run(
            [self.root / "scripts" / script, *arguments],
            env={
                "PATH": str(self.fakes),
                "FAKES": str(self.fakes),
                "CALLS": str(self.calls_file),
                "FAILS": "",
                **environ,
            },
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def calls(self, start: str) -> list[str]:
        return [line for line in self.calls_file.read_text().splitlines() if line.startswith(start)]

    def installs(self) -> list[str]:
        return [line for line in self.calls("python") if "pip install" in line]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_run_makes_the_environment_from_any_folder_and_passes_its_arguments_to_the_demo(project: Project) -> None:
    project.fake("python3", PYTHON)

    done = project.run("run", "--seconds", "5", "--json")

    assert done.returncode == 0, done.stderr
    assert project.calls("flagent") == ["flagent demo --seconds 5 --json"]
    assert done.stdout == ""


def test_run_installs_the_pinned_versions_of_every_extra_and_no_tools(project: Project) -> None:
    project.fake("python3", PYTHON)

    project.run("run")

    assert [line.partition("install ")[2] for line in project.installs()] == [
        "--quiet --disable-pip-version-check --no-input -c constraints.txt -e .[all]"
    ]


def test_second_call_installs_nothing(project: Project) -> None:
    project.fake("python3", PYTHON)
    project.run("run")

    done = project.run("run")

    assert project.installs() == []
    assert project.calls("flagent") == ["flagent demo"]
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_are_installed(project: Project, name: str) -> None:
    project.fake("python3", PYTHON)
    project.run("run")
    with (project.root / name).open("a") as file:
        file.write("# a change\n")

    project.run("run")

    assert len(project.installs()) == 1


def test_environment_that_was_moved_is_made_again(project: Project) -> None:
    project.fake("python3", PYTHON)
    project.run("run")
    project.root = project.root.rename(project.root.with_name("moved"))

    done = project.run("run")

    assert done.returncode == 0, done.stderr
    assert len([line for line in project.calls("python") if "-m venv" in line]) == 1


def test_failed_installation_is_said_and_tried_again(project: Project) -> None:
    project.fake("python3", PYTHON)
    (project.fakes / "no-network").touch()

    failed = project.run("run")
    (project.fakes / "no-network").unlink()
    done = project.run("run")

    assert failed.returncode == 2
    assert "pip could not install" in failed.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", ["run", "test", "check"])
def test_missing_python_is_named(project: Project, script: str) -> None:
    done = project.run(script)

    assert done.returncode == 2
    assert "Python 3.11 or newer is needed" in done.stderr


def test_python_that_is_too_old_or_only_a_shim_is_passed_over(project: Project) -> None:
    project.fake("python3", TOO_OLD)
    project.fake("python3.12", PYTHON.replace("$FAKES/python3", "$FAKES/python3.12"))

    done = project.run("run")

    assert done.returncode == 0, done.stderr
    assert "making the environment .venv with" in done.stderr
    assert done.stderr.splitlines()[0].endswith("/python3.12")


def test_python_without_the_venv_module_is_named_with_the_way_out(project: Project) -> None:
    project.fake("python3", WITHOUT_VENV)

    done = project.run("run")

    assert done.returncode == 2
    assert "python3 has no venv module" in done.stderr
    assert "apt-get install python3-venv" in done.stderr


def test_test_passes_its_arguments_to_pytest(project: Project) -> None:
    project.fake("python3", PYTHON)

    done = project.run("test", "tests/core", "-q")

    assert done.returncode == 0, done.stderr
    assert project.calls("python -m pytest") == ["python -m pytest -n 3 tests/core -q"]
    assert len(project.installs()) == 2


def test_check_runs_every_check_and_says_which_failed(project: Project) -> None:
    project.fake("python3", PYTHON)

    done = project.run("check", environ={"FAILS": "ruff check"})

    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "failed: [ruff check]"
    assert project.calls("mypy") + project.calls("lint-imports") == ["mypy ", "lint-imports --no-logo"]


def test_check_succeeds_when_all_do(project: Project) -> None:
    project.fake("python3", PYTHON)

    done = project.run("check")

    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "all checks passed"


def test_every_requirement_is_pinned_and_nothing_else_is_in_the_constraints() -> None:
    def name(requirement: str) -> str:
        return re.split(r"[<>=;\[~! ]", requirement)[0].lower().replace("_", "-")

    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = document["project"]["dependencies"] + document["dependency-groups"]["dev"]
    wanted += [entry for extra in document["project"]["optional-dependencies"].values() for entry in extra]

    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
    assert {name(entry) for entry in wanted} - {name(pin) for pin in pins} == {"flagent"}


def test_scripts_are_executable() -> None:
    names = ["scripts/run", "scripts/test", "scripts/check", "scripts/lock", "scripts/lowest", ".ci/run"]

    assert [name for name in names if not os.access(ROOT / name, os.X_OK)] == []
