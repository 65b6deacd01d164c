"""Where the modules are loaded that managers and clients need for their work: never on somebody else's event loop."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rest import Rest

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
        ("AsyncFlagentClient", "evaluate('a', 'u', {'country': 'DE'})"),
        ("AsyncManager", "is_enabled('a', 'u', {'country': 'DE'})"),
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


def test_a_fork_waits_until_what_says_that_nothing_is_there_yet_is_loaded() -> None:
    program = """
import os, sys, threading
from flagent import OfflineManager

manager = OfflineManager("http://127.0.0.1:1")
evaluating = threading.Thread(target=manager.evaluate, args=("a", "u"))
evaluating.start()
while "msgspec" not in sys.modules:
    pass
child = os.fork()
if child == 0:
    os._exit(manager.evaluate("a", "u").reason != "NOT_READY")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
evaluating.join()
"""

    assert subprocess.check_output([sys.executable, "-c", program], text=True, timeout=60).strip() == "0"


def test_who_evaluates_while_everything_is_loaded_does_not_wait_for_it() -> None:
    program = """
import sys, threading
from flagent import OfflineManager
from flagent.client import loading

manager = OfflineManager("http://127.0.0.1:1")
reached, on = threading.Event(), threading.Event()

class Slow:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "httpx2":
            reached.set()
            on.wait(30)

sys.meta_path.insert(0, Slow)
thread = threading.Thread(target=loading.load, args=(loading.SERVER_UPKEEP,))
thread.start()
reached.wait(30)
print(manager.evaluate("a", "u").reason, "httpx2" in sys.modules)
on.set()
thread.join()
print("httpx2" in sys.modules)
"""

    output = subprocess.check_output([sys.executable, "-c", program], text=True, timeout=60)

    assert output.split() == ["NOT_READY", "False", "True"]


#: Evaluates in all ways, and prints what that has imported.
_EVALUATING = """
import sys
from flagent import EvalRequest, OfflineConfig, OfflineManager

manager = OfflineManager({where}, OfflineConfig(enable_persistence=False))
manager.bootstrap()
before = set(sys.modules)
for key in ("simple", "engine", "split", "none"):
    context = {{"mail": "a@acme.com", "age": 30}}
    assert manager.is_enabled(key, "u", context) is (key != "none")
    manager.get_variant(key, "u", context)
    manager.evaluate(key, "u", context)
    manager.evaluate(key, "u", context, debug=True)
    manager.evaluate_batch([EvalRequest(flag_key=key, entity_id="u", entity_context=context), EvalRequest(flag_id=1)])
    for value in (manager.bool_value, manager.str_value, manager.int_value, manager.float_value, manager.json_value):
        value(key, "u", context)
manager.evaluate_all("u", context)
manager.is_ready(), manager.snapshot_age, manager.is_snapshot_expired(), manager.is_realtime_enabled()
manager.clear_cache()
assert manager.evaluate("simple", "u").reason == "NOT_READY"
print(sorted(set(sys.modules) - before))
manager.close()
"""


def _document() -> dict[str, Any]:
    def flag(key: str, *constraints: tuple[str, str, str]) -> dict[str, Any]:
        conditions = [dict(zip(("property", "operator", "value"), each, strict=True)) for each in constraints]
        segment = {"constraints": conditions, "distributions": [{"variantKey": "on", "percent": 100}]}
        return {"key": key, "enabled": True, "variants": [{"key": "on"}], "segments": [segment]}

    return {
        "flags": [
            flag("simple", ("mail", "EREG", "^[a-z]+@acme")),
            # Only RE2 takes this one.
            flag("engine", ("mail", "EREG", "(a|b|@)+?acme"), ("mail", "NEREG", "(x+x+)+y"), ("age", "GT", "17")),
            flag("split"),
        ]
    }


def imported_by_evaluating(where: str) -> str:
    """Return what evaluating on the flags that are there imports, after they were loaded."""
    program = _EVALUATING.format(where=where)
    return subprocess.check_output([sys.executable, "-c", program], text=True, timeout=60).strip()


def test_evaluating_on_the_flags_of_a_program_imports_nothing() -> None:
    assert imported_by_evaluating(repr(_document())) == "[]"


def test_evaluating_on_the_flags_of_a_file_imports_nothing(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_text(json.dumps(_document()))

    assert imported_by_evaluating(repr(path.as_uri())) == "[]"


def test_evaluating_on_the_flags_of_a_server_imports_nothing(rest: Rest) -> None:
    rest.post("/import", {"format": "json", "content": json.dumps(_document())})

    assert imported_by_evaluating(repr(rest.server.url)) == "[]"
