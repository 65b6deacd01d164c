"""What benchmarks need besides Python: programs in C and Go, compiled on the spot, and environments for the peers.

All of it is made under `.benchmarks/` in the project's root, once for each state of what it is made of. What can't be
made is a reason to leave a candidate out, and never to end a benchmark.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parent / ".benchmarks"
_LIMIT = 600.0


class Missing(Exception):
    """A candidate can't run here; the text says why."""


def c_program(name: str, *options: str) -> Path:
    """Return the program that `name`.c beside this file is, compiled.

    Raises:
        Missing: there is no C compiler, or it refuses.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise Missing("no C compiler: there is no `cc`")
    source = HERE / f"{name}.c"
    headers = [file.read_text() for file in sorted(HERE.glob("*.h"))]
    return _built(
        source, [compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", *options, str(source)], parts=headers
    )


def go_program(name: str) -> Path:
    """Return the program that `name`.go beside this file is, compiled.

    Raises:
        Missing: there is no Go, or it refuses.
    """
    compiler = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if compiler is None:
        raise Missing("no Go: there is no `go`")
    source = HERE / f"{name}.go"
    return _built(source, [compiler, "build"], after=[str(source)])


def environment(peer: str) -> Path:
    """Return the Python of the environment that has a peer's SDK.

    Raises:
        Missing: it can't be installed.
    """
    wanted = requirements((HERE / "requirements.txt").read_text())[peer]
    stamp = _stamp(sys.version, *wanted)
    folder = CACHE / f"{peer}-{stamp}"
    python = folder / "bin" / "python"
    done = folder / "installed"
    if done.exists():
        return python
    print(f"installing {' '.join(wanted)}", file=sys.stderr, flush=True)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], f"{peer}: no environment")
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    _run([str(python), "-m", "pip", "install", *quiet, *wanted], f"{peer}: can't be installed")
    done.touch()
    return python


def requirements(text: str) -> dict[str, list[str]]:
    """Return the lines of each section of a file of requirements; a comment of one word begins one."""
    sections: dict[str, list[str]] = {}
    section: list[str] = []
    for line in map(str.strip, text.splitlines()):
        heading = line.removeprefix("# ")
        if heading != line and heading.isidentifier():
            section = sections.setdefault(heading, [])
        elif line and not line.startswith("#"):
            section.append(line)
    return sections


def _built(source: Path, command: list[str], *, after: Sequence[str] = (), parts: Sequence[str] = ()) -> Path:
    """Compile, unless that was done; the compiler writes to another name, so that nobody runs half a program."""
    target = CACHE / f"{source.stem}-{_stamp(source.read_text(), *parts, *command)}"
    if target.exists():
        return target
    CACHE.mkdir(exist_ok=True)
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    _run([*command, "-o", str(fresh), *after], f"{source.name} does not compile")
    fresh.replace(target)
    return target


def _run(command: list[str], failing: str) -> None:
    # Go compiles nothing without a place for its cache, which a bare environment does not name.
    environ = {"GOCACHE": str(CACHE / "go"), **os.environ}
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_LIMIT, env=environ)
    except subprocess.CalledProcessError as exc:
        last = (exc.stderr or exc.stdout or "").strip().splitlines()[-3:]
        raise Missing(f"{failing}: {' / '.join(last)}") from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Missing(f"{failing}: {exc}") from exc


def _stamp(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
