"""What the documentation says about the tree is what the tree is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "flagent"
SECTIONS = re.split(r"^##+ ", (ROOT / "docs" / "architecture.md").read_text(), flags=re.MULTILINE)


def documented(package: str) -> set[str]:
    """Return the names in the tables of a package's section."""
    (section,) = (text for text in SECTIONS if text.split(":")[0].split("\n")[0] == package)
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([a-z_0-9]+)`", row)}


def names_in(folder: Path) -> set[str]:
    """Return the names of the modules and packages in a folder, without those that begin with an underscore."""
    return {path.stem for path in folder.glob("[!_]*") if path.suffix == ".py" or (path / "__init__.py").exists()}


@pytest.mark.parametrize("package", ["core", "wire", "client", "server", "cli", "testing"])
def test_architecture_names_every_module_and_folder_of_the_package(package: str) -> None:
    assert names_in(SOURCE / package) - documented(package) == set()


@pytest.mark.parametrize("package", ["core", "wire", "client", "server", "cli", "testing"])
def test_architecture_names_nothing_that_is_not_there(package: str) -> None:
    folders = [path for path in (SOURCE / package).iterdir() if path.is_dir()]
    inside = {name for folder in folders for name in names_in(folder)}

    assert documented(package) - names_in(SOURCE / package) - inside == set()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_are_named_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    named = re.findall(r"\b((?:src|scripts|examples|benchmarks|docs|tests)/[\w./-]*\w)", text)

    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_setting_of_the_server_is_in_the_readme() -> None:
    from flagent.server.settings import Settings

    readme = (ROOT / "README.md").read_text()

    assert [name for name in Settings.__slots__ if f"`FLAGENT_{name.upper()}`" not in readme] == []
