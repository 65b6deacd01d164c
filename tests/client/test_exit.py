"""Programs that end without closing anything: at once, with their own exit code, and without a word of ours."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from live import LiveServer
from rest import Rest

from flagent import OfflineConfig, OfflineManager, Source

#: Seconds that the end may take: a tenth of a second on a quiet machine.
_LIMIT = 3.0

_BEGIN = """
import asyncio, atexit, os, signal, sys, threading, time
import flagent

url = sys.argv[1]

def refuse(*arguments):
    raise RuntimeError("can't create new thread at interpreter shutdown")

if sys.version_info < (3, 12):
    # As all newer versions do.
    threading._register_atexit(lambda: setattr(threading, "_start_new_thread", refuse))

def leave():
    print(time.time(), flush=True)

def followed(address=url, timeout=10.0):
    manager = flagent.OfflineManager(address, flagent.OfflineConfig(auto_refresh=False))
    if timeout:
        manager.bootstrap()
    manager.enable_realtime_updates(timeout=timeout)
    return manager

"""


class Form(NamedTuple):
    """A way to end: the program, the exit code, and what may stand on standard error."""

    program: str
    code: int = 0
    says: str = ""


#: Only what Python has: clients of ours need a thread.
_CHANGED_AT_THE_END = """
import json, urllib.request
manager = followed()
def change():
    content = json.dumps({"enabled": False}).encode()
    request = urllib.request.Request(f"{url}/api/v1/flags/1/enabled", content, {"content-type": "application/json"})
    request.method = "PUT"
    urllib.request.urlopen(request).close()
    while manager.is_enabled("new_feature", "u"):
        time.sleep(0.001)
    manager.close()
    leave()
atexit.register(change)
"""

FORMS = {
    "the end of the program": Form("manager = followed(); leave()"),
    "sys.exit": Form("manager = followed(); leave(); sys.exit(3)", 3),
    "an exit with a message": Form("manager = followed(); leave(); sys.exit('no more')", 1, "no more\n"),
    "an exception": Form("manager = followed(); leave(); print(1 / 0)", 1, "ZeroDivisionError: division by zero\n"),
    "a signal": Form("manager = followed(); leave(); os.kill(os.getpid(), signal.SIGTERM)", -15),
    "while it waits to connect again": Form("manager = followed('http://127.0.0.1:9', 0.0); leave()"),
    "while a name is looked up": Form("manager = followed('http://no.such.host.invalid', 0.0); leave()"),
    "with a listener that never comes back": Form(
        """
manager, called = followed(), threading.Event()
manager.on_change(lambda change: (called.set(), time.sleep(3600)))
with flagent.FlagentClient(url) as client:
    client.set_flag_enabled(1, enabled=False)
called.wait()
leave()
"""
    ),
    "from an exit function that goes on evaluating": Form(
        """
manager = followed()
atexit.register(lambda: (manager.is_enabled("new_feature", "u") or sys.stderr.write("stale"), manager.close(), leave()))
"""
    ),
    "from an exit function, with changes that are not on disk yet": Form(_CHANGED_AT_THE_END),
    "from an exit function, with a listener that had nothing to hear before": Form(
        _CHANGED_AT_THE_END + "manager.on_change(lambda change: None)"
    ),
    "of the main thread, while another one evaluates": Form(
        """
manager = followed()
def work():
    threading.main_thread().join()
    assert manager.evaluate("new_feature", "u").flag_key == "new_feature"
    leave()
threading.Thread(target=work).start()
"""
    ),
    "while daemon threads iterate over changes and events": Form(
        """
manager, stream = followed(), flagent.SSEClient(url)
stream.connect()
for iterable in (manager.changes(), stream.events()):
    threading.Thread(target=list, args=(iterable,), daemon=True).start()
leave()
"""
    ),
    "of asyncio.run": Form(
        """
async def main():
    manager = flagent.AsyncOfflineManager(url)
    await manager.bootstrap()
    await manager.enable_realtime_updates()
    leave()
asyncio.run(main())
"""
    ),
    "of a forked child": Form(
        """
manager = followed()
child = os.fork()
if child == 0:
    assert manager.is_enabled("new_feature", "u")
    sys.exit(5)
_, status = os.waitpid(child, 0)
leave()
sys.exit(os.waitstatus_to_exitcode(status))
""",
        5,
    ),
}


@pytest.mark.covers("F81", "I7")
def test_no_thread_of_ours_runs_any_more_when_the_interpreter_is_taken_apart(rest: Rest) -> None:
    """One that does can crash it, now and then, while it is importing or in a library's code."""
    # Registered before everything else, and so called after it.
    first = """
import atexit, threading
atexit.register(lambda: print([each.name for each in threading.enumerate() if each.name.startswith("flagent manager")]))
"""
    done = subprocess.run(
        [sys.executable, "-c", first + _BEGIN + "managers = [followed(), followed()]", rest.server.url],
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.covers("F78", "F81", "G9")
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_program_ends_as_if_there_were_no_manager(rest: Rest, form: Form) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + form.program, rest.server.url], capture_output=True, text=True, timeout=30
    )
    ended_at = time.time()

    assert done.returncode == form.code, done.stderr
    # Python 3.12 and newer warn of forks in programs with threads.
    said = "".join(line for line in done.stderr.splitlines(keepends=True) if "fork" not in line)
    assert said.endswith(form.says) and ("flagent" not in said) and (form.says or not said), done.stderr
    assert ended_at - float(done.stdout) < _LIMIT


@pytest.mark.covers("F81")
def test_what_an_exit_function_closes_is_kept_on_disk_as_it_was_at_the_end(
    rest: Rest, live_server: LiveServer, tmp_path: Path
) -> None:
    subprocess.run(
        [sys.executable, "-c", _BEGIN + _CHANGED_AT_THE_END, live_server.url],
        check=True,
        timeout=30,
        env=os.environ | {"FLAGENT_STORAGE_DIR": str(tmp_path)},
    )
    live_server.stop()

    with OfflineManager(live_server.url, OfflineConfig(storage_dir=tmp_path)) as manager:
        assert manager.status.source is Source.DISK
        assert manager.evaluate("new_feature", "u").reason == "FLAG_DISABLED"
