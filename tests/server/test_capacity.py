"""What the system lets a server have: as many connections as it permits, and room for them before they come."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import pytest
from server_process import process
from worker_processes import crew

from flagent.server import capacity

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="limits of processes can't be seen here")


def room_of(pid: int) -> int:
    """Return how many descriptors fit into the kernel's table of a process."""
    found = re.search(r"FDSize:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def test_it_may_have_as_many_connections_as_the_system_permits(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        with process(tmp_path / "flagent.db") as (server, _):
            allowed, _ = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert allowed == min(hard, 1 << 20)


def test_there_is_room_for_all_streams_before_they_come(tmp_path: Path) -> None:
    with process(tmp_path / "flagent.db", max_streams=3000) as (server, _):
        assert 3000 <= room_of(server.pid) <= 8192


def test_there_is_no_more_room_than_is_permitted(tmp_path: Path) -> None:
    with process(tmp_path / "flagent.db", max_streams=10_000_000) as (server, _):
        permitted, _ = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)

        # The kernel's tables are powers of two.
        assert permitted <= room_of(server.pid) <= 2 * permitted


def test_each_worker_has_room_for_its_streams(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db", max_streams=8000) as running:
        assert min(map(room_of, running.workers)) >= 4000


def test_nothing_stays_open_of_it() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())

    capacity.make_room(300)

    assert sorted(Path("/proc/self/fd").iterdir()) == before
