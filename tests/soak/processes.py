"""The processes of a soak: the server, and those with clients; killed, stopped and started again by the faults."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

#: Seconds that a server may take to answer, and to end.
_START, _END = 60.0, 30.0
_TESTS = Path(__file__).parent.parent
_SERVER = """
import json, sys
from flagent.server.run import serve
from flagent.server.settings import Settings
serve(Settings(**json.loads(sys.argv[1])), on_ready=lambda url: print(url, flush=True))
"""


class ServerProcess:
    """A server on one port and one database, however often it is started."""

    def __init__(self, folder: Path, port: int, **settings: Any) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.starts = 0
        chosen = {"port": port, "database_url": f"sqlite:///{folder / 'flags.db'}", **settings}
        self._command = [sys.executable, "-c", _SERVER, json.dumps(chosen)]
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.starts += 1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        end = time.monotonic() + _START
        with httpx2.Client(trust_env=False, timeout=2.0) as http:
            while True:
                try:
                    if http.get(f"{self.url}/readyz").status_code == 200:
                        return
                except httpx2.HTTPError:
                    assert self._process.poll() is None, "the server ended at its start: see server.log"
                assert time.monotonic() < end, "the server does not answer"
                time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        process, self._process = self._process, None
        return 0 if process is None else process.wait(_END)

    def used(self) -> dict[str, int]:
        """Return what it uses; nothing while it does not run."""
        process = self._process
        if process is None:
            return {}
        root = Path(f"/proc/{process.pid}")
        try:
            return {
                "threads": len(list((root / "task").iterdir())),
                "descriptors": len(list((root / "fd").iterdir())),
                "resident": int((root / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            }
        except OSError:
            # It ended meanwhile.
            return {}


class ClientProcess:
    """A process with clients; what it reports is handed to `reported`, in a thread."""

    def __init__(
        self, name: str, arguments: list[str], folder: Path, reported: Callable[[dict[str, Any]], None]
    ) -> None:
        self.name = name
        self._arguments = arguments
        path = os.pathsep.join(filter(None, (str(_TESTS), os.environ.get("PYTHONPATH"))))
        self._environment = {**os.environ, "FLAGENT_STORAGE_DIR": str(folder / "kept"), "PYTHONPATH": path}
        self._log = folder / f"{name}.log"
        self._reported = reported
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "soak.client", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
            )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether it ended by itself, which it must not."""
        return self._process is not None and self._process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        assert self._reader is not None
        code = process.wait(_END)
        self._reader.join(_END)
        process.stdin.close()
        process.stdout.close()
        return code

    def stop(self) -> int:
        """Let it close its clients and end; return the exit code."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        return self.wait()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            # The last line of one that is killed may not be whole.
            if line.endswith(b"\n"):
                self._reported(json.loads(line))
