"""Starts subprocesses under uvloop, next to live managers of both kinds, until SIGTERM: `... MANAGER`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop  # type: ignore[import-not-found,import-untyped,unused-ignore]
from client.fork_apps.live_manager import FLAG, manager, write

from flagent import AsyncOfflineManager, OfflineConfig

NUMBER = 40


async def main() -> None:
    """Run them one after the other, and two at a time; then keep on saying what both managers see."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    config = OfflineConfig(auto_refresh=False, reconnect_delay=0.05)
    async with AsyncOfflineManager(os.environ["FLAGENT_TEST_URL"], config) as own:
        await own.enable_realtime_updates()
        lost = 0
        for _ in range(NUMBER // 2):
            both = [await asyncio.create_subprocess_exec("true") for _ in range(2)]
            assert [await each.wait() for each in both] == [0, 0]
            lost += not own.is_realtime_enabled() or not manager.is_realtime_enabled()
        print(f"after {NUMBER} subprocesses, streams lost: {lost}", flush=True)
        while not ended.is_set():
            if own.is_enabled(FLAG, "user123") is manager.is_enabled(FLAG, "user123") and own.is_realtime_enabled():
                write("parent")
            await asyncio.sleep(0.02)
    manager.close()


uvloop.run(main())
sys.exit(0)
