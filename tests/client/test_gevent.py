"""Programs that gevent has patched: the SDK works there, and does not keep other greenlets waiting."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from forking_program import FRESH, ForkingProgram, need
from rest import Rest

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")

#: Seconds of work for which the SDK may keep other greenlets from running, on a machine half as fast as usual.
WORK = 0.1
#: As much in all: a busy machine may keep the whole program waiting, which is not the SDK's doing.
WAIT = 1.0
END = 5.0


PROGRAM = [sys.executable, "-m", "client.fork_apps.gevent_program"]


@pytest.mark.covers("F77")
def test_a_manager_is_fresh_under_gevent_and_other_greenlets_go_on(rest: Rest, tmp_path: Path) -> None:
    need(module="gevent")

    with ForkingProgram([*PROGRAM, 1], rest.server.url, tmp_path) as running:
        running.logged("(1 managers say True)")
        rest.put("/flags/1/enabled", {"enabled": False})
        running.logged("(1 managers say False)", limit=FRESH)
        took = running.end()
        wait = float(running.logged_at_the_end(r"longest wait: ([\d.]+)"))
        work = float(running.logged_at_the_end(r"longest work: ([\d.]+)"))

    print(f"\nlongest wait {wait:.3f} s, longest work {work:.3f} s, ended after {took:.3f} s")
    assert work < WORK
    assert wait < WAIT
    assert took < END


def test_a_second_one_is_refused_clearly(rest: Rest, tmp_path: Path) -> None:
    """Greenlets share what asyncio keeps for each thread: which event loop is running."""
    need(module="gevent")
    running = ForkingProgram([*PROGRAM, 2], rest.server.url, tmp_path)
    with pytest.raises(AssertionError, match="ended by itself"), running:
        running.logged("(2 managers say True)")

    assert "refused: ConfigurationError: gevent has patched threads" in running.log
    assert "use one for everything" in running.log
