"""Everything together, and what must be true of it at every moment."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from itertools import count
from typing import Any

from flagent.client.status import State
from flagent.core.changes import Snapshot
from flagent.core.evaluation import Ruleset
from flagent.errors import FlagentError
from flagent.server.settings import Settings

from .client import Client
from .clock import VirtualLoop
from .log import Log
from .node import Node

_CLIENTS = 3


class Broken(AssertionError):
    """An invariant does not hold."""


class World:
    """A log, two servers on it, and a few clients.

    Attributes:
        log: what is true.
        nodes: the servers.
        clients: the clients.
        corrupted: bytes were altered on the way, so that digests may differ.
    """

    #: Seconds within which everybody is current once everything is well: the longest wait between two tries, a
    #: stream found dead, and one download that hangs.
    CONVERGENCE = 150.0
    #: Seconds within which an edit arrives when everything is well.
    PROMPT = 0.5
    #: Seconds by which a server may be late, and a message take.
    MOST_LAG, MOST_DELAY = 5.0, 4.5
    #: Seconds that a server takes to end its streams, and that moving on to another one takes a client.
    DRAINED, MOVING = 3.0, 3.0
    #: Streams that a client may ask for within ten seconds.
    MOST_TRIES = 40

    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.chance = random.Random(seed ^ 0x5EED)
        self.loop = loop
        self.corrupted = False
        self.log = Log(loop.time)
        ring = self.chance.choice((2, 8, 64))
        settings = Settings(
            database_url="sqlite:///nowhere",
            ring=ring,
            sync_after=self.chance.choice((1, 4, 64)),
            max_tombstones=self.chance.choice((0, 2, 100)),
            max_age=self.chance.choice((0.0, 0.0, 60.0)),
        )
        self.nodes = [Node(self.log, settings), Node(self.log, settings)]
        self.clients: list[Client] = []
        self._numbers = count(1)
        self._begun: set[asyncio.Task[Any]] = set()

    def populate(self) -> None:
        """Start servers and clients."""
        for node in self.nodes:
            node.start()
        for number in range(_CLIENTS):
            # The client's transport finds it here.
            client = Client.__new__(Client)
            client.name = f"http://client{number}"
            self.clients.append(client)
            client.__init__(self, number)  # type: ignore[misc]

    def next_number(self) -> int:
        """Return a number that nothing has."""
        return next(self._numbers)

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let something go on beside the steps; what of it fails is its own business."""

        async def run() -> None:
            try:
                await work
            except FlagentError:
                # The client says so in its status, which is checked.
                return

        task = asyncio.create_task(run())
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)

    def used(self, client: Client) -> None:
        """Hear that a client asked for something."""
        if not client.is_open:
            raise Broken(f"I8: {client.name} asked for something after it was closed")

    def updated(self, client: Client, ruleset: Ruleset) -> None:
        """Hear that a client holds something else."""
        self._check_held(client, ruleset.snapshot)

    def check(self) -> None:
        """Look at everything.

        Raises:
            Broken: something is not as it must be.
        """
        now = self.loop.time()
        for client in self.clients:
            ruleset = client.manager._replica.ruleset
            if ruleset is not None:
                self._check_held(client, ruleset.snapshot)
                self._check_staleness(client, ruleset.snapshot, now)
            result = client.manager.evaluate("flag1", "user")
            if result.entity_id != "user":
                raise Broken(f"I6: {client.name} evaluated to {result}")
            self._check_bounds(client, now)

    async def settle(self) -> None:
        """Mend everything, and wait until it must be well."""
        # Servers that are being drained are gone first.
        await asyncio.sleep(self.DRAINED)
        for node in self.nodes:
            node.lag = 0.0
            if not node.up:
                node.start()
        for client in self.clients:
            client.line.mend()
            client.disk.fails = client.disk.loses = False
            if not client.is_open:
                client.begin()
        await asyncio.sleep(self.CONVERGENCE)
        self.expect_all_current(f"{self.CONVERGENCE:g} s after everything was mended")

    def expect_all_current(self, when: str) -> None:
        """Demand that every client has what the log has.

        Raises:
            Broken: one has not.
        """
        self.check()
        for client in self.clients:
            if client.cursor != self.log.snapshot.cursor:
                said = client.manager.status
                raise Broken(f"I1: {client.name} is at {client.cursor}, not {self.log.snapshot.cursor}, {when}: {said}")
            # A stream that is old enough is just being replaced.
            if not client.manager.is_realtime_enabled() and client.manager.status.since > self.MOVING:
                raise Broken(f"I1: {client.name} has no stream {when}: {client.manager.status}")
            divergences = client.manager.status.divergences
            if divergences and not self.corrupted:
                raise Broken(f"G4: {client.name} has diverged {divergences} times, and nothing was altered on the way")

    def _check_held(self, client: Client, held: Snapshot) -> None:
        cursor = held.cursor
        committed = self.log.snapshots.get(cursor)
        if committed is None or committed.digest != held.digest or committed.flags.keys() != held.flags.keys():
            raise Broken(f"I3: {client.name} holds {cursor}, which was never like that")
        before = client.seen.get(cursor.epoch)
        if before is not None and cursor.revision < before:
            raise Broken(f"I2: {client.name} went back from {before} to {cursor}")
        client.seen[cursor.epoch] = cursor.revision

    def _check_staleness(self, client: Client, held: Snapshot, now: float) -> None:
        status = client.manager.status
        outdated_at = self.log.outdated_at.get(held.cursor)
        if outdated_at is not None and status.staleness is not None:
            least = now - outdated_at - self.MOST_LAG - self.MOST_DELAY
            if status.staleness < least:
                raise Broken(
                    f"I5: {client.name} says {status.staleness:.1f} s, but is stale for {least:.1f} s: {status}"
                )
        bound = status.staleness_bound
        if status.state is State.LIVE and bound is not None and (status.staleness or 0.0) > bound + 1.0:
            raise Broken(f"I5: {client.name} is live, and stale for {status.staleness} s, more than {bound} s")

    def _check_bounds(self, client: Client, now: float) -> None:
        tries = sum(at > now - 10.0 for at in client.line.opened)
        if tries > self.MOST_TRIES:
            raise Broken(f"I9: {client.name} asked for {tries} streams within 10 s")
        if len(client.line.pipes) > 2:
            raise Broken(f"I7: {client.name} has {len(client.line.pipes)} connections")
