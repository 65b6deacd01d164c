"""Where the modules are loaded that managers and clients need for their work: never on somebody else's event loop."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Runs something on an event loop, in a fresh interpreter, and prints what is imported in the loop's thread meanwhile.
_PROGRAM = """
import asyncio, contextlib, sys, threading
from flagent import {name}, FlagentError

class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            found.append(name)

async def main():
    subject = {name}("http://127.0.0.1:1")
    with contextlib.suppress(FlagentError):
        await subject.{call}
    await subject.close()

found = []
sys.meta_path.insert(0, Watch)
asyncio.run(main())
sys.meta_path.remove(Watch)
print(found, "httpx2" in sys.modules)
"""


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("AsyncOfflineManager", "bootstrap(timeout=5)"),
        ("AsyncOfflineManager", "enable_realtime_updates(timeout=0.5)"),
        ("AsyncFlagentClient", "health()"),
    ],
)
def test_nothing_is_imported_on_the_event_loop_of_a_program(name: str, call: str) -> None:
    program = _PROGRAM.format(name=name, call=call)

    assert subprocess.check_output([sys.executable, "-c", program], text=True, timeout=60).strip() == "[] True"


def test_a_fork_waits_until_what_is_being_loaded_is_there() -> None:
    program = """
import asyncio, os, sys
from flagent import AsyncOfflineManager, FlagentError
from flagent.client.loading import SERVER_UPKEEP

async def main():
    manager = AsyncOfflineManager("http://127.0.0.1:1")
    loading = asyncio.create_task(manager.bootstrap(timeout=5))
    while "asyncio.staggered" not in sys.modules or "flagent.client.upkeep" not in sys.modules:
        await asyncio.sleep(0)
    child = os.fork()
    if child == 0:
        os._exit(any(name not in sys.modules for name in SERVER_UPKEEP))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    try:
        await loading
    except FlagentError:
        await manager.close()

asyncio.run(main())
"""

    assert subprocess.check_output([sys.executable, "-c", program], text=True, timeout=60).strip() == "0"


def test_a_manager_that_is_closed_while_it_loads_says_so() -> None:
    program = """
import asyncio
from flagent import AsyncOfflineManager, Closed

async def main():
    manager = AsyncOfflineManager("http://127.0.0.1:1")
    loading = asyncio.create_task(manager.bootstrap())
    await asyncio.sleep(0)
    await manager.close()
    try:
        await loading
    except Closed:
        print("closed")

asyncio.run(main())
"""

    assert subprocess.check_output([sys.executable, "-c", program], text=True, timeout=60).strip() == "closed"
