"""A program that gevent has patched: it says what its managers see until SIGTERM, and for how long greenlets waited.

`gevent_program.py NUMBER`: how many managers follow the flags.
"""

from __future__ import annotations

from gevent import monkey  # type: ignore[import-not-found,import-untyped,unused-ignore]

monkey.patch_all()

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import gevent  # type: ignore[import-not-found,import-untyped,unused-ignore] # noqa: E402
from gevent.event import Event  # type: ignore[import-not-found,import-untyped,unused-ignore] # noqa: E402

from flagent import FlagentError, OfflineConfig, OfflineManager  # noqa: E402
from flagent.client.loading import SERVER_UPKEEP, load  # noqa: E402

PAUSE = 0.002
waits, works = [0.0], [0.0]
ended = Event()


def beat() -> None:
    """Note for how long other greenlets keep this one from going on."""
    last, worked = time.perf_counter(), time.process_time()
    while True:
        gevent.sleep(PAUSE)
        now, work = time.perf_counter(), time.process_time()
        waits.append(now - last - PAUSE)
        works.append(work - worked)
        last, worked = now, work


def follow(number: int) -> None:
    """Make live managers, and say whenever all of them have seen a change."""
    # A program imports before it serves: that it takes time is no news.
    load(SERVER_UPKEEP)
    gevent.spawn(beat)
    managers = []
    for _ in range(number):
        try:
            manager = OfflineManager(os.environ["FLAGENT_TEST_URL"], OfflineConfig(auto_refresh=False))
            manager.bootstrap(timeout=3)
            manager.enable_realtime_updates(timeout=3)
        except FlagentError as exc:
            print(f"refused: {type(exc).__name__}: {exc}", flush=True)
            sys.exit(1)
        managers.append(manager)
    said = None
    while not ended.is_set():
        seen = {each.is_enabled("new_feature", "user123") for each in managers if each.is_realtime_enabled()}
        if len(seen) == 1 and seen != said:
            print(f"{number} managers say {seen.copy().pop()}", flush=True)
            said = seen
        gevent.sleep(PAUSE)
    for each in managers:
        each.close()
    print(f"longest wait: {max(waits):.3f} s, longest work: {max(works):.3f} s", flush=True)


gevent.signal_handler(signal.SIGTERM, ended.set)
follow(int(sys.argv[1]))
