"""Faults without end, drawn from a seed: flags never vanish or go back, and when the faults end they are the server's.

A seed that failed is replayed by

    FLAGENT_FAULT_SEED=123 .venv/bin/python -m pytest tests/faults/test_convergence.py
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest
from fault_proxy import Ending, FaultProxy, RandomFaults
from faults_parts import ManagerOf, Switch
from live import LiveServer
from waiting import until

from flagent import OfflineManager
from flagent.core.changes import Cursor

#: Those that are always tried, and one that nobody has tried before, which is 0.
_CHOSEN = os.environ.get("FLAGENT_FAULT_SEED")
SEEDS = [1, 2, 3, 0] if _CHOSEN is None else [int(_CHOSEN)]
#: How many streams are opened meanwhile.
STREAMS = 25


class Observer:
    """Looks at a manager while things go wrong.

    Attributes:
        seen: how many cursors it has had.
    """

    def __init__(self, manager: OfflineManager, key: str) -> None:
        self.seen = 0
        self._manager = manager
        self._key = key
        self._cursor: Cursor | None = None

    def look(self) -> None:
        """Check what must hold at every moment (I2, I4, I6)."""
        cursor = Cursor.parse(self._manager.status.cursor)
        assert cursor is not None
        if self._cursor is not None:
            assert (cursor.epoch, cursor.revision) >= self._cursor, f"it went back from {self._cursor} to {cursor}"
            self.seen += cursor != self._cursor
        self._cursor = cursor
        assert self._manager.evaluate(self._key, "u").variant_key == "on"


@pytest.mark.covers("F10", "G2", "I1", "I2", "I4", "I6")
@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize("seed", SEEDS)
def test_after_any_faults_the_flags_are_the_servers(
    proxy: FaultProxy, follow: ManagerOf, switch: Switch, quick_server: LiveServer, seed: int
) -> None:
    seed = seed or random.randrange(1, 1 << 32)
    # Shown by pytest if it fails.
    print(f"replay with FLAGENT_FAULT_SEED={seed}")
    chance = random.Random(seed)
    always = Switch(quick_server, f"{switch.key}-always")
    manager = follow(auto_refresh=True, refresh_interval=0.3, fallback_after=0.2, request_timeout=1.0)
    until(lambda: always.shows(manager))
    observer = Observer(manager, always.key)

    proxy.script = RandomFaults(seed)
    proxy.end()
    while len(proxy.opened) < STREAMS:
        switch.turn()
        _shake(proxy, chance)
        for _ in range(10):
            observer.look()
    proxy.clear()
    proxy.release()
    proxy.end()

    until(lambda: _converged(manager, quick_server))
    observer.look()
    assert switch.shows(manager)
    until(manager.is_realtime_enabled)
    switch.arrives(manager)


def _shake(proxy: FaultProxy, chance: random.Random) -> None:
    """Do something to the connections that are open, now and then."""
    what: list[Callable[[], None]] = [proxy.hold, proxy.release, proxy.end, lambda: proxy.end(Ending.RESET)]
    if chance.random() < 0.3:
        chance.choice(what)()


def _converged(manager: OfflineManager, server: LiveServer) -> bool:
    held, there = manager._replica.ruleset, server.services.hub.ruleset
    return held is not None and (held.snapshot.cursor, held.snapshot.digest) == (
        there.snapshot.cursor,
        there.snapshot.digest,
    )
