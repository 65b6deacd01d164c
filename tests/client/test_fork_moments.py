"""Forks at any moment of the network thread: before it starts, while it connects or applies, and whatever it holds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest
from child import exit_code, in_child
from injection import Injection
from live import LiveServer
from rest import Rest
from waiting import until

from flagent import OfflineManager

ManagerOf = Callable[..., OfflineManager]

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
#: Of all moments, so many apart: a child costs a tenth of a second.
_EACH = 9


class Forker:
    """Forks in the main thread while another one waits at some place, with whatever it holds."""

    def __init__(self) -> None:
        self._there, self._forked = threading.Event(), threading.Event()

    def pause(self) -> None:
        """Wait until the fork is done; in the other thread."""
        self._there.set()
        self._forked.wait(10)

    def fork(self, work: Callable[[], None], limit: float) -> int | None:
        """Fork once the other thread has come to its place; return the child, or None if it has not."""
        try:
            return in_child(work) if self._there.wait(limit) else None
        finally:
            self._forked.set()
            self._there, self._forked = threading.Event(), threading.Event()


def test_a_child_that_is_forked_before_the_start_starts_by_itself(rest: Rest, manager_of: ManagerOf) -> None:
    manager = manager_of(rest.server.url)

    def work() -> None:
        manager.bootstrap()
        manager.enable_realtime_updates()
        assert manager.is_enabled("new_feature", "u")
        manager.close()

    assert exit_code(in_child(work)) == 0
    assert not manager.is_ready()


@pytest.mark.covers("F75", "G8")
@pytest.mark.timeout(120)
def test_a_child_is_fresh_whatever_the_network_thread_was_doing(
    rest: Rest, live_server: LiveServer, manager_of: ManagerOf
) -> None:
    broadcaster, enabled, forker = live_server.services.broadcaster, True, Forker()
    with Injection("flagent manager", "/client/", "/wire/", strike=forker.pause) as injection:
        manager = manager_of(live_server.url, safety_poll_interval=0.02, max_reconnect_delay=0.02)
        manager.on_change(lambda _: None)
        manager.bootstrap()
        manager.enable_realtime_updates()

        def shake() -> None:
            nonlocal enabled
            enabled = not enabled
            rest.put("/flags/1/enabled", {"enabled": enabled})
            for stream in broadcaster.streams:
                live_server.call(stream.abort)

        def settled() -> bool:
            return manager.is_realtime_enabled() and manager.is_enabled("new_feature", "u") is enabled

        def work() -> None:
            manager.evaluate("new_feature", "u")
            until(settled)
            manager.close()

        for _ in range(2):
            shake()
            until(settled)
        forks = 0
        for site in list(injection.seen)[::_EACH]:
            injection.target = site
            shake()
            child = forker.fork(work, 0.5)
            injection.target = None
            if child is not None:
                assert exit_code(child) == 0, f"forked at {site}"
                forks += 1
            until(settled)

    # All but what only happens at the start.
    assert forks > 10
    assert manager.status.divergences == 0
