"""A program with `multiprocessing`: `processes.py METHOD NUMBER`. Every process says what it sees, until SIGTERM."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading


def work() -> None:
    """Look at the flag until SIGTERM, which the parent sends."""
    # The manager of the parent if it was forked, or one of this process.
    from client.fork_apps.live_manager import manager, write

    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    while not ended.wait(0.02):
        write(f"worker{os.getpid()}")
    manager.close()


def main(method: str, number: int) -> None:
    """Start the processes, and end them on SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    multiprocessing.set_start_method(method)
    if method == "forkserver":
        multiprocessing.set_forkserver_preload(["client.fork_apps.live_manager"])
    from client.fork_apps.live_manager import manager, write

    children = [multiprocessing.Process(target=work) for _ in range(number)]
    for child in children:
        child.start()
    while not ended.wait(0.02):
        write("parent")
    for child in children:
        child.terminate()
    for child in children:
        child.join()
    manager.close()
    codes = [child.exitcode for child in children]
    if any(codes):
        raise SystemExit(f"exit codes of the children: {codes}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
