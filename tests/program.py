"""Programs as processes, for the tests of the command line and of the examples."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from secret_watch import check_output

FLAGENT = [sys.executable, "-m", "flagent"]
_LIMIT = 30.0


def command(
    arguments: Sequence[object], *, stdin: bytes = b"", environ: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Run a program to its end and return exit code, standard output and standard error."""
    done = subprocess.run(
        list(map(str, arguments)),
        input=stdin,
        capture_output=True,
        env={**os.environ, **(environ or {})},
        timeout=_LIMIT,
    )
    errors = done.stderr.decode()
    assert "Traceback" not in errors, errors
    check_output(errors)
    return done.returncode, done.stdout.decode(), errors


def run(*arguments: object, stdin: bytes = b"", environ: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command of flagent to its end and return exit code, standard output and standard error."""
    return command([*FLAGENT, *arguments], stdin=stdin, environ=environ)


class Running:
    """A command that runs until it is stopped; a context manager that leaves nothing behind.

    Attributes:
        process: the process.
        lines: the lines that `until` has read so far.
    """

    def __init__(self, *arguments: object, program: list[str] = FLAGENT, environ: dict[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environ or {})},
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def until(self, wanted: Callable[[str], object] | str) -> str:
        """Read lines until one is wanted (contains a text, or satisfies a predicate), and return it.

        The limit on the wait is the test's own.
        """
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if wanted in line if isinstance(wanted, str) else wanted(line):
                return self.lines[-1]
        raise AssertionError(f"it ended without {wanted!r}: {self.lines}, {self.process.communicate()[1]}")

    def stop(self, number: int) -> tuple[int, str, str]:
        """Send a signal and return exit code and the rest of standard output and standard error."""
        self.process.send_signal(number)
        rest, errors = self.process.communicate(timeout=_LIMIT)
        assert "Traceback" not in errors, errors
        return self.process.returncode, rest, errors
