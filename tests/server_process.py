"""The server as a process of its own, for tests of how it starts and ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = """
import json, sys
from flagent.server.run import serve
from flagent.server.settings import Settings
serve(Settings(**json.loads(sys.argv[1])), on_ready=lambda url: print(url, flush=True))
"""


@contextmanager
def process(
    database: Path, port: int = 0, *, new_group: bool = False, program: str = PROGRAM, **settings: Any
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server, in a group of processes of its own if that is asked for; yield it and its URL.

    Args:
        database: the file with the flags.
        port: where it listens; 0 for any.
        new_group: whether signals to the group of the tests are not for it.
        program: what runs it, with the settings as JSON for its argument; prints the URL.
        settings: how it runs.
    """
    chosen = json.dumps({"port": port, "database_url": f"sqlite:///{database}", **settings})
    with subprocess.Popen(
        [sys.executable, "-c", program, chosen],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0 if new_group else None,
    ) as server:
        try:
            assert server.stdout is not None
            yield server, server.stdout.readline().strip()
        finally:
            server.kill()


def port_of(url: str) -> int:
    """Return the port of a URL."""
    return int(url.rpartition(":")[2])


def ended(server: subprocess.Popen[str], limit: float) -> int:
    """Wait for the end of a server and return its exit code; it must not have raised anything."""
    code = server.wait(limit)
    assert server.stderr is not None
    errors = server.stderr.read()
    assert "Traceback" not in errors, errors
    return code
