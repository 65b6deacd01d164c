"""Everything together: a database, servers on it, clients of them, and what is heard of them while they run."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from itertools import count
from typing import Any

from flagent.client.callbacks import FlagChange
from flagent.client.states import Source, State
from flagent.client.status import Status
from flagent.core.changes import Cursor
from flagent.core.evaluation import Ruleset
from flagent.errors import FlagentError, StreamBroken
from flagent.server.settings import Settings

from . import invariants
from .client import Client
from .clock import VirtualLoop
from .database import Database
from .invariants import Broken
from .node import Node

_STATES = {state: f"state {state}" for state in State}
_SOURCES = {source: f"source {source}" for source in (*Source, None)}


class World:
    """A database, servers and clients.

    Args:
        seed: decides about settings, delays and damages.
        loop: what it runs on.
        clients: how many there are; 0 for two or three.
        max_age: seconds that streams live; None for what the seed says.
        told: called with a line for everything that happens; None for nobody.

    Attributes:
        counts: how often what has happened.
        damaged: something was altered, lost or repeated on the way, so that digests may differ.
        damaged_disks: what was written to some disk was altered later.
        lagged: some server was late.
        acknowledged: edits that administrators were told are done: epoch, flag and revision.
    """

    #: Seconds within which everybody is current once everything is well: a stream that has to be found dead, one
    #: download that hangs, the longest wait between two tries, and a poll. After a refusal it is the slow regime's.
    CONVERGENCE, AFTER_REFUSALS = 150.0, 1100.0
    #: Seconds that it has to stay so: until streams that are dead have been found out, and digests were compared.
    STAYS = 40.0
    #: Seconds within which an edit arrives when everything is well, and the same when streams are replaced by age.
    PROMPT, MOVING = 0.5, 4.0
    #: Seconds until a server sees what another process wrote, and until messages of the same moment have arrived.
    LOOKS = 0.5

    def __init__(
        self,
        seed: int,
        loop: VirtualLoop,
        *,
        clients: int = 0,
        max_age: float | None = None,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self.chance = random.Random(seed ^ 0x5EED)
        self.loop = loop
        self.counts: Counter[str] = Counter()
        self.damaged = self.damaged_disks = self.lagged = False
        self.acknowledged: list[tuple[str, int, int]] = []
        self.settings = self._some_settings(max_age)
        self.database = Database(loop.time)
        self.nodes = [Node(self.database, self.settings, loop) for _ in range(2)]
        self.clients = [Client(self, number) for number in range(clients or self.chance.choice((2, 2, 3)))]
        self._told = told
        self._hash = hashlib.sha256()
        self._numbers = count(1)
        self._begun: dict[asyncio.Task[Any], Client | None] = {}
        self._compiled: dict[Cursor, Ruleset] = {}
        self._asked_at: dict[float, Client] = {}

    def _some_settings(self, max_age: float | None) -> Settings:
        chance = self.chance
        some_age = chance.choice((0.0, 0.0, 60.0))
        return Settings(
            database_url="sqlite:///nowhere",
            node="simulated",
            ring=chance.choice((2, 8, 64)),
            sync_after=chance.choice((1, 4, 64)),
            max_tombstones=chance.choice((0, 2, 100)),
            max_age=some_age if max_age is None else max_age,
            open_rate=chance.choice((1000.0, 1000.0, 1.0)),
            drain_window=2.0,
        )

    def populate(self) -> None:
        """Start servers and clients."""
        for node in self.nodes:
            node.start()
        for client in self.clients:
            client.begin()

    @property
    def trace(self) -> str:
        """What stands for everything that has happened."""
        return self._hash.hexdigest()

    def note(self, line: str) -> None:
        """Note that something happened."""
        line = f"{self.loop.time() - 1000.0:10.4f}  {line}"
        self._hash.update(line.encode())
        if self._told is not None:
            self._told(line)

    def next_number(self) -> int:
        """Return a number that nothing has."""
        return next(self._numbers)

    def compiled(self, cursor: Cursor) -> Ruleset:
        """Return a committed state, compiled on its own."""
        if cursor not in self._compiled:
            self._compiled[cursor] = Ruleset.compile(self.database.snapshots[cursor])
        return self._compiled[cursor]

    def begin(self, work: Coroutine[Any, Any, Any], owner: Client | None = None) -> None:
        """Let something go on beside the steps, as a part of a program; what of it fails is its own business."""

        task = self.loop.create_task(work)
        self._begun[task] = owner
        task.add_done_callback(self._returned)

    def _returned(self, task: asyncio.Task[Any]) -> None:
        del self._begun[task]
        problem = None if task.cancelled() else task.exception()
        if isinstance(problem, FlagentError):
            # The client says so in its status, which is checked.
            self.counts[f"call failed: {type(problem).__name__}"] += 1
        elif problem is not None:
            self.loop.failures.append(problem)

    def end_calls(self, owner: Client) -> bool:
        """Let what a program has begun be gone with it; return whether there was anything."""
        calls = [task for task, program in self._begun.items() if program is owner]
        for task in calls:
            task.cancel()
        return bool(calls)

    async def edit(self, node: Node, decide: Callable[..., Sequence[Any]]) -> None:
        """Let an administrator edit a flag at a server."""
        acknowledged = await node.edit(decide)
        self.counts["edit acknowledged" if acknowledged else "edit refused"] += 1
        for epoch, flag_id, revision in acknowledged:
            self.note(f"acknowledged: flag {flag_id} at {epoch}:{revision}")
        self.acknowledged.extend(acknowledged)

    def asked(self, client: Client, life: int, path: str, *, streams: bool) -> None:
        """Hear that a client asks for something."""
        now = self.loop.time()
        self.note(f"{client.name} asks for {path}")
        if not client.is_open or client.life != life:
            raise Broken("I8", f"{client.name} asked for {path} after its end")
        other = self._asked_at.setdefault(now, client)
        if other is not client and now not in client.fresh_at:
            raise Broken("I9", f"{client.name} and {other.name} asked for {path} at the same moment")
        client.line.used_at.append(now)
        if streams:
            client.line.asked_at.append(now)

    def updated(self, client: Client, ruleset: Ruleset) -> None:
        """Hear that a client holds something else."""
        self.note(f"{client.name} holds {ruleset.snapshot.cursor}")
        if not client.is_open:
            raise Broken("I8", f"{client.name} was updated after its end")
        invariants.whole(self, client, ruleset.snapshot)
        invariants.monotonic(self, client, ruleset.snapshot)

    def told(self, client: Client, change: FlagChange) -> None:
        """Hear that a client's listener was told of a change."""
        self.note(f"{client.name} tells of {change.flag_key}")
        if not client.is_open:
            raise Broken("I8", f"{client.name} called a listener after its end")
        if client.known is not None:
            if change.new is None:
                client.known.pop(change.flag_key, None)
            else:
                client.known[change.flag_key] = change.new

    def check(self) -> None:
        """Look at everything.

        Raises:
            Broken: something is not as it must be.
        """
        if self.loop.failures:
            raise self.loop.failures[0]
        now = self.loop.time()
        for node in self.nodes:
            if node.up:
                late = now - self.database.outdated_at.get(node.hub.cursor, now)
                self.database.most_late = max(self.database.most_late, late)
        for client in self.clients:
            ruleset = client.ruleset
            invariants.never_empty(client)
            if ruleset is not None:
                invariants.whole(self, client, ruleset.snapshot)
                invariants.monotonic(self, client, ruleset.snapshot)
            if client.is_open:
                status = client.manager.status
                self._count(status)
                if ruleset is not None:
                    invariants.honest_staleness(self, client, ruleset.snapshot, status)
            invariants.evaluation(self, client)
            invariants.closed(client)
            invariants.backoff(client, now)
        invariants.bounded(self)
        invariants.acknowledged(self)

    def _count(self, status: Status) -> None:
        counts, error = self.counts, status.last_error
        counts[_STATES[status.state]] += 1
        counts[_SOURCES[status.source]] += 1
        counts["disk error"] += status.cache_error is not None
        counts["divergence found"] += status.divergences > 0
        if error is not None:
            kind = error.kind if isinstance(error, StreamBroken) else ""
            counts[f"error {type(error).__name__} {kind}".strip()] += 1

    async def pause(self, seconds: float) -> None:
        """Let time pass, and look at everything meanwhile."""
        while seconds > 0.0:
            part = min(seconds, 10.0)
            await asyncio.sleep(part)
            self.check()
            seconds -= part

    async def settle(self) -> None:
        """Mend everything, and demand that all is well soon, and stays so."""
        refused = self.refused()
        for client in self.clients:
            client.line.mend()
            client.disk.full = client.disk.broken = False
            if not client.is_open:
                client.begin()
        for node in self.nodes:
            node.disturb(lag=0.0, database_down=False)
        deadline = self.loop.time() + (self.AFTER_REFUSALS if refused else self.CONVERGENCE)
        well = 0.0
        while (well < self.STAYS or not self.is_steady()) and self.loop.time() < deadline:
            # Servers that are being drained are gone first.
            for node in self.nodes:
                node.start()
            await self.pause(5.0)
            well = well + 5.0 if self.is_well() else 0.0
        self.expect_convergence("although everything was mended")
        if not self.is_steady():
            raise Broken("I1", "streams do not stay, although everything was mended")
        invariants.kept(self)

    def refused(self) -> bool:
        """Return whether somebody was refused in a way after which trying soon again is of no use."""
        sessions = [client.manager._session for client in self.clients]
        streams = [session.upkeep.follower.feed._backoff for session in sessions if session.upkeep.follower is not None]
        return any(each._slow for each in (*streams, *(session.upkeep.poller._backoff for session in sessions)))

    def is_well(self) -> bool:
        """Return whether everybody is current."""
        newest = self.database.snapshot.cursor
        served = all(node.up and node.hub.cursor == newest for node in self.nodes)
        return served and all(invariants.is_current(self, client) for client in self.clients)

    def is_steady(self) -> bool:
        """Return whether streams have stayed, and did not only come back each time."""
        steady = (client.manager.status.since > self.STAYS - 5.0 for client in self.clients)
        return self.settings.max_age > 0 or all(steady)

    def expect_convergence(self, when: str) -> None:
        """Demand that every client has what the database has."""
        for node in self.nodes:
            if not node.up:
                raise Broken("I1", f"a server does not start {when}")
        invariants.convergence(self, when)
