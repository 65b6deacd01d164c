"""Noticing that this process is a forked child, however it was forked.

Python calls hooks after `os.fork`. uWSGI forks by itself, without Python's hooks unless it is told to call
them, and has a hook of its own. And where neither is called, whoever looks at the process' number finds out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

_hooks: list[Callable[[], None]] = []
_pid = os.getpid()


def after_in_child(hook: Callable[[], None]) -> None:
    """Call `hook` in every forked child, once, before anything else of ours is used there."""
    _hooks.append(hook)


def notice() -> None:
    """Call the hooks, if this is a child in which they have not been called."""
    global _pid
    pid = os.getpid()
    if pid != _pid:
        _pid = pid
        for hook in _hooks:
            hook()


def follow_uwsgi() -> None:
    """Let uWSGI call us after its forks, if this process is one of its; more than once does no harm."""
    try:
        import uwsgi
    except ImportError:
        return
    previous = getattr(uwsgi, "post_fork_hook", None)
    if isinstance(previous, _Hook):
        return
    uwsgi.post_fork_hook = _Hook(previous)


class _Hook:
    def __init__(self, previous: Callable[[], Any] | None) -> None:
        self._previous = previous

    def __call__(self) -> None:
        notice()
        if self._previous is not None:
            self._previous()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=notice)
