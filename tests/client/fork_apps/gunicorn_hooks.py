"""Configuration of gunicorn: the master writes what it says about the flag."""

from __future__ import annotations


def when_ready(server: object) -> None:
    """Begin to write in the master, which has imported the application because of `--preload`."""
    from client.fork_apps.live_manager import keep_writing

    keep_writing("parent")
