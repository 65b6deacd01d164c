"""A server that is killed at one point after the other, and started again each time on the same port and database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from live import free_port

_PROGRAM = Path(__file__).with_name("kill_points.py")


class KilledServer:
    """A context manager around the program of `kill_points`, which runs one server at a time.

    Args:
        database: URL of the database.
        settings: more settings.

    Attributes:
        url: where each of the servers listens.
    """

    def __init__(self, database: str, **settings: Any) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._settings = {"port": port, "database_url": database, **settings}
        self._child: int | None = None
        self._program = subprocess.Popen(
            [sys.executable, str(_PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
        self._program.communicate()

    def start(self, last: int = 0) -> None:
        """Start a server that dies at the point of this number; at none for 0. Return when it answers."""
        assert self._program.stdin is not None
        self._program.stdin.write(json.dumps({"settings": self._settings, "last": last}) + "\n")
        self._program.stdin.flush()
        self._child = int(self._line())
        assert self._line() == self.url

    def stop(self) -> None:
        """Kill the server that runs, and wait for its end."""
        assert self._child is not None
        os.kill(self._child, signal.SIGKILL)
        self.killed()

    def killed(self) -> None:
        """Wait until the server has ended, which must have been by SIGKILL."""
        code = int(self._line())
        self._child = None
        assert code == -signal.SIGKILL, f"it ended with {code}"

    def _line(self) -> str:
        assert self._program.stdout is not None
        return self._program.stdout.readline().strip()
