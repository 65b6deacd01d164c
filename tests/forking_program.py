"""Programs that fork, for the tests of the SDK in them: started, asked, and ended with all their processes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.request import ProxyHandler, build_opener

import pytest
from waiting import until

#: Seconds within which every process shows a change.
FRESH = 5.0
_START = 30.0
#: Seconds after which a program that does not end is killed.
_END = 10.0
_TESTS = Path(__file__).parent
_open = build_opener(ProxyHandler({})).open


class Shown(NamedTuple):
    """What a process says about the flag, and whether its manager is live."""

    pid: int
    enabled: bool
    live: bool


def need(*, module: str | None = None, program: str | None = None, anywhere: bool = True) -> str:
    """Skip the test when something is not installed; fail on CI. Return the path of the program.

    Args:
        module: a module that has to be there.
        program: a program that has to be there.
        anywhere: whether one outside of this environment will do.
    """
    folders = f"{Path(sys.executable).parent}{':' + os.environ['PATH'] if anywhere else ''}"
    path = "" if program is None else shutil.which(program, path=folders)
    if path is None or (module is not None and importlib.util.find_spec(module) is None):
        reason = f"{program or module} is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


class ForkingProgram:
    """A context manager around a program that forks; it leaves no process behind.

    Args:
        arguments: the program and its arguments.
        url: the flagent server.
        folder: for its log, and for the files in which its processes say what they see.
        environ: more environment variables.
    """

    def __init__(
        self, arguments: Sequence[object], url: str, folder: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._log = folder / f"log{len(list(folder.glob('log*')))}"
        own = {"FLAGENT_TEST_URL": url, "FLAGENT_TEST_FOLDER": str(folder), "FLAGENT_TEST_PROGRAM": str(self._log)}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                list(map(str, arguments)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, **own, "PYTHONPATH": str(_TESTS), "PYTHONUNBUFFERED": "1", **(environ or {})},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if exc is not None:
            # What pytest shows together with the failure.
            print(self.log)
        if self.process.poll() is None:
            for pid in [self.process.pid, *self.descendants()]:
                _kill(pid)
        self.process.wait()
        for pid in self._orphans():
            _kill(pid)

    @property
    def log(self) -> str:
        """What it wrote to standard output and standard error so far."""
        return self._log.read_text(errors="replace")

    def descendants(self) -> list[int]:
        """Return the process ids of its children, of theirs, and so on."""
        found, new = list[int](), [self.process.pid]
        while new:
            new = [child for parent in new for child in _children(parent)]
            found += new
        return found

    def _orphans(self) -> list[int]:
        # What it leaves behind when it ends by itself has its environment still.
        mark, found = f"FLAGENT_TEST_PROGRAM={self._log}\0".encode(), list[int]()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in path.read_bytes():
                    found.append(int(path.parent.name))
        return found

    def logged(self, pattern: str, limit: float = _START) -> str:
        """Wait until its log has a match, and return the (first) group."""

        def found() -> re.Match[str] | None:
            assert self.process.poll() is None, f"it ended by itself: {self.log}"
            return re.search(pattern, self.log)

        until(found, limit)
        match = found()
        assert match is not None
        return match[1]

    def logged_at_the_end(self, pattern: str) -> str:
        """Return the (first) group of the match in the log of a program that has ended."""
        match = re.search(pattern, self.log)
        assert match is not None, self.log
        return match[1]

    def said(self, name: str) -> Shown | None:
        """Return what a process wrote last under a name."""
        path = self.folder / f"{name}.json"
        return Shown(**json.loads(path.read_text())) if path.exists() else None

    def workers_said(self) -> list[Shown]:
        """Return what all processes but the parent wrote last."""
        return [Shown(**json.loads(path.read_text())) for path in self.folder.glob("worker*.json")]

    def until_parent(self, *, enabled: bool, limit: float = FRESH) -> Shown:
        """Wait until the parent says that the flag is on or off, and that it is live itself."""
        seen: list[Shown | None] = []

        def shows() -> bool:
            seen[:] = [self.said("parent")]
            return seen[0] is not None and seen[0].enabled is enabled and seen[0].live

        try:
            until(shows, limit)
        except AssertionError as exc:
            raise AssertionError(f"the parent says {seen[0]}: {exc}") from None
        assert seen[0] is not None
        return seen[0]

    def end(self) -> float:
        """Send SIGTERM, check that it ends cleanly together with its children, and return how many seconds it took."""
        family, start = self.descendants(), time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(_END)
        # Such as a fork server, which notices that its parent has ended.
        while (left := [pid for pid in family if not _has_ended(pid)]) and time.monotonic() - start < _END:
            time.sleep(0.005)
        took = time.monotonic() - start
        for pid in left:
            _kill(pid)
        assert code == 0, f"it ended with {code}: {self.log}"
        assert not left, f"it left processes behind: {left}"
        assert "Traceback" not in self.log, self.log
        assert "Exception ignored" not in self.log, self.log
        return took


def ask(url: str) -> Shown:
    """Ask whichever worker takes the request."""
    with _open(url, timeout=FRESH) as answer:
        return Shown(**json.loads(answer.read()))


def until_all(
    processes: int, look: Callable[[], Sequence[Shown]], *, enabled: bool, limit: float = FRESH
) -> tuple[dict[int, Shown], float]:
    """Wait until so many processes have said, live, that the flag is on or off.

    Args:
        processes: how many there are; others than these must not say anything.
        look: gets answers of some of them.
        enabled: what they have to say.
        limit: seconds they may take.

    Returns:
        What they said, by process id, and how many seconds it took.
    """
    last: dict[int, Shown] = {}
    start = time.monotonic()

    def agreed() -> bool:
        last.update((each.pid, each) for each in look())
        return sum(each.enabled is enabled and each.live for each in last.values()) >= processes

    try:
        until(agreed, limit)
    except AssertionError as exc:
        raise AssertionError(f"{processes} processes should say {enabled=} and be live: {last}: {exc}") from None
    return last, time.monotonic() - start


def many_askers(url: str) -> Callable[[], Sequence[Shown]]:
    """Return a function that asks several times at once, so that several workers have to answer."""

    def look() -> Sequence[Shown]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(ask, [url] * 16))

    return look


def _children(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
