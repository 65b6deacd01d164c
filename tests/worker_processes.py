"""A server of several workers, for tests: which processes there are, and how to get to each of them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from server_process import port_of, process
from sse_messages import Message, Subscriber
from waiting import until

_T = TypeVar("_T")
#: Seconds for what takes one or two: the machine that tests may be busy.
PATIENCE = 25.0
#: The states of processes that run no more, as /proc names them.
_GONE = ("Z", "X")


class Crew:
    """A server and its workers.

    Attributes:
        server: the process that started the others.
        url: where all of them listen.
        port: the same.
    """

    def __init__(self, server: subprocess.Popen[str], url: str) -> None:
        self.server = server
        self.url = url
        self.port = port_of(url)

    @property
    def workers(self) -> list[int]:
        """The processes that there are now."""
        text = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text()
        return [int(pid) for pid in text.split() if alive(int(pid))]

    def at(self, worker: int, connect: Callable[[], _T]) -> _T:
        """Do something that connects to the server, and let this worker be who accepts."""
        others = [pid for pid in self.workers if pid != worker]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        until(lambda: all(_state(pid) == "T" for pid in others), PATIENCE)
        try:
            return connect()
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    def stream_at(self, worker: int, query: str = "payload=flag") -> Subscriber:
        """Open a stream at this worker."""

        def connect() -> Subscriber:
            stream = Subscriber(self.port, query)
            stream.next("connected")
            return stream

        return self.at(worker, connect)

    @contextmanager
    def client_at(self, worker: int) -> Iterator[httpx2.Client]:
        """Yield a client whose one connection is to this worker."""
        with httpx2.Client(base_url=self.url, trust_env=False, timeout=PATIENCE) as client:
            self.at(worker, lambda: client.get("/healthz").raise_for_status())
            yield client


def metrics(client: httpx2.Client) -> dict[str, float]:
    """Return what `/metrics` says, as soon as all workers answer."""
    answer = client.get("/metrics")
    end = time.monotonic() + PATIENCE
    while answer.status_code == 503 and time.monotonic() < end:
        answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    lines = (line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


@contextmanager
def crew(database: Path, *, count: int = 2, **settings: Any) -> Iterator[Crew]:
    """Run a server of several workers."""
    with process(database, workers=count, **settings) as (server, url):
        running = Crew(server, url)
        pids: list[int] = []
        try:
            pids = running.workers
            assert len(pids) == count, url
            yield running
        finally:
            # A test that fails may have left one stopped, which would not notice that the others are gone.
            for pid in pids:
                if alive(pid):
                    os.kill(pid, signal.SIGCONT)


@contextmanager
def streams_at_all(running: Crew, each: int = 2) -> Iterator[dict[int, list[Subscriber]]]:
    """Open streams at every worker; yield them by worker."""
    with ExitStack() as stack:
        yield {
            worker: [stack.enter_context(running.stream_at(worker)) for _ in range(each)] for worker in running.workers
        }


def rest(stream: Subscriber) -> list[Message]:
    """Return what else comes, until the stream ends."""
    found: list[Message] = []
    try:
        while True:
            found.append(stream.next())
    except EOFError:
        return found


def alive(pid: int) -> bool:
    """Return whether a process runs."""
    return _state(pid) not in _GONE


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
