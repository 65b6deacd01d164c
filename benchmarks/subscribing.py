"""The subscribers of `subscribers.c` as a process that takes commands, and what a server's process has used."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from api import check
from building import c_program

#: Seconds that connecting, or a number of events, may take at most.
_LIMIT = 120.0
_END_LIMIT = 10.0
#: In the data of an event, in the full view and the compatible one.
REVISION = re.compile(rb'"revision":"[^":]+:(\d+)"')


class Subscribers:
    """So many open streams, of which the first `matching` expect every event and the others none."""

    def __init__(
        self, port: int, count: int, path: str, *, matching: int | None = None, other: str = "", limit: float = _LIMIT
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._sample = Path(self._folder.name) / "sample"
        command = [str(c_program("subscribers")), str(port), str(count), path, str(self._sample)]
        if matching is not None:
            command += [str(matching), other]
        self._limit = limit
        self.count, self.matching = count, count if matching is None else matching
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=_END_LIMIT)
        self._folder.cleanup()

    def connect(self) -> dict[str, Any]:
        """Open all streams, and return how long that took."""
        found = self._ask(f"connect {self._limit}\n".encode())
        check(found["connected"] == self.count, f"{found['connected']} of {self.count} streams were opened")
        return found

    def events(self, requests: list[bytes], gap_ms: int = 5) -> dict[str, Any]:
        """Make events, each when all have the one before, and return how soon they came."""
        sized = b"".join(b"%d\n%b" % (len(request), request) for request in requests)
        found = self._ask(f"events {len(requests)} {gap_ms} {self._limit}\n".encode() + sized)
        wanted = self.matching * len(requests)
        check(found["received"] == wanted, f"{found['received']} of {wanted} events came")
        return found

    def examine(self) -> bytes:
        """Check that all got the same events in the same order, and return what the first one got."""
        found = self._ask(b"check\n")
        check(found["different"] == 0, f"{found['different']} subscribers got other events than the first")
        check(found["unasked"] == 0, f"{found['unasked']} events came to those who did not ask for them")
        check(found["lost"] == 0, f"{found['lost']} streams were cut")
        return self._sample.read_bytes()

    def _ask(self, command: bytes) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(command)
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended, and says why where the answer would be
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(_END_LIMIT)
            assert self._process.stderr is not None
            check(False, f"the subscribers ended: {self._process.stderr.read().decode(errors='replace').strip()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def blocks(stream: bytes) -> list[bytes]:
    """Return the events of a stream with their ends, without greetings, signs of life and comments."""
    found = [block + b"\n\n" for block in stream.split(b"\n\n") if b"data:" in block]
    quiet = re.compile(rb"^event: (connected|heartbeat|evaluations)$", re.MULTILINE)
    return [block for block in found if not quiet.search(block)]


def numbers(stream: bytes) -> list[int]:
    """Return the revisions that the events of a stream name."""
    return [int(each) for block in blocks(stream) for each in REVISION.findall(block)]


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    # The kernel's name for the CPU clock of another process, which is finer than the ticks in /proc/PID/stat.
    return time.clock_gettime((~pid << 3) | 2)


def resident_kb(pid: int) -> int:
    """Return the kilobytes of memory that a process occupies."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    check(False, f"the memory of process {pid} can't be read")
    return 0
