"""Follow flag changes until Ctrl+C or SIGTERM, then end in good order.

Run a server (`flagent demo` changes a flag twice a second), then: python examples/graceful_shutdown.py [URL]
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from flagent import FlagentClient, FlagentError, OfflineManager

url = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FLAGENT_URL", "http://localhost:18000")


def main() -> None:
    stop = threading.Event()

    def end(_number: int, _frame: object) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)

    with OfflineManager(FlagentClient(f"{url}/api/v1")) as manager:  # leaving the block stops stream and threads
        manager.bootstrap()
        manager.enable_realtime_updates(url)

        print("Listening for real-time flag updates (Press Ctrl+C to exit)...", flush=True)
        stop.wait()
        print("\nShutting down...", flush=True)


if __name__ == "__main__":
    try:
        main()
    except FlagentError as exc:
        sys.exit(f"graceful_shutdown: {exc}")
