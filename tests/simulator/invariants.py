"""What must be true at every moment: I1 to I10 of the reliability document, each as a check that can say why not.

They look at what a program sees of its manager, and compare it with what the database has ever held. What they allow
beyond that is stated with each.
"""

from __future__ import annotations

from bisect import bisect
from typing import TYPE_CHECKING

from flagent.client.disk import Cached
from flagent.client.status import Status
from flagent.core.changes import Cursor, Snapshot
from flagent.core.evaluation import Reason

if TYPE_CHECKING:
    from .client import Client
    from .world import World

#: Seconds within which streams are counted, and how many a client may ask for in them: full jitter makes short waits,
#: but the bound of each is twice that of the one before. Each fresh beginning permits some more.
WINDOW, MOST_ASKED, FOR_A_BEGINNING = 30.0, 30, 4
#: Connections that a client may have: a stream, one that is just being replaced, and a download.
MOST_CONNECTIONS = 3
#: Tasks that a session has names for.
MOST_TASKS = 6
#: Streams that a server may have for each client, some of which are dead, and answers that a hub may keep.
MOST_STREAMS, MOST_ANSWERS = 4, 24
#: Seconds that `close` may take, as documented.
CLOSE = 2.0


class Broken(AssertionError):
    """An invariant does not hold.

    Args:
        invariant: which.
        said: why not.
    """

    def __init__(self, invariant: str, said: str) -> None:
        # Both, so that it can be sent from one process to another.
        super().__init__(invariant, said)

    def __str__(self) -> str:
        return ": ".join(self.args)


def is_current(world: World, client: Client) -> bool:
    """Return whether a client has what the database has, and a stream that will tell it more."""
    if client.cursor != world.database.snapshot.cursor:
        return False
    # A stream that is old enough is just being replaced.
    return client.manager.is_realtime_enabled() or (
        world.settings.max_age > 0 and client.manager.status.since <= world.MOVING
    )


def convergence(world: World, when: str) -> None:
    """I1: once faults have stopped, every client has what the database has, and so has everybody it tells."""
    newest = world.database.snapshot
    for client in world.clients:
        status = client.manager.status
        if client.cursor != newest.cursor:
            raise Broken("I1", f"{client.name} is at {client.cursor}, not {newest.cursor}, {when}: {status}")
        if not is_current(world, client):
            raise Broken("I1", f"{client.name} has no stream {when}: {status}")
        if client.known is not None and client.known != newest.flags:
            raise Broken("I1", f"{client.name}: its listener was told of other flags than it holds, {when}")
        if status.divergences and not world.damaged:
            raise Broken("G4", f"{client.name} has diverged, and nobody altered anything: {status}")
    for node in world.nodes:
        if node.hub.cursor != newest.cursor:
            raise Broken("I1", f"a server is at {node.hub.cursor}, not {newest.cursor}, {when}")
        if node.hub.divergences:
            raise Broken("G4", "a server has diverged from its own log")


def kept(world: World) -> None:
    """G2: what a client holds when all is calm it has again after a restart without a server."""
    for client in world.clients:
        saver = client.manager._session.upkeep.saver
        if saver is None or saver.error is not None or world.damaged_disks:
            continue
        if client.disk.writes >= 2 and len(client.kept()) < 2:
            raise Broken("G2", f"{client.name} has not kept the file before")
        found = saver._disk.load()
        if found is None or found.snapshot.cursor != client.cursor:
            raise Broken("G2", f"{client.name} holds {client.cursor}, and keeps {found and found.snapshot.cursor}")


def served(client: Client, cursor: Cursor) -> None:
    """I1: a client whose stream has stayed is where its server was two seconds ago, however slow it was."""
    held = client.cursor
    if held is None or (held.epoch == cursor.epoch and held.revision < cursor.revision):
        raise Broken("I1", f"{client.name} is at {client.cursor}, not {cursor}, although it takes what comes")


def survives_power_cut(client: Client, saved: Snapshot | None) -> None:
    """G2: what was written to the disk is there after a power cut."""
    if saved is None or client.world.damaged_disks or client.disk.broken:
        return
    if all(each.snapshot.cursor != saved.cursor for each in client.kept()):
        raise Broken("G2", f"{client.name} had written {saved.cursor}, and after the power cut it is gone")


def survives_damage(client: Client, before: list[Cached]) -> None:
    """G2: of two files one may be damaged; what is left is one of them, or nothing, but nothing else."""
    after = client.kept()
    if len(after) < len(before) - 1 or any(each not in before for each in after):
        raise Broken("G2", f"{client.name} finds {after} on its disk, where {before} was")


def monotonic(world: World, client: Client, held: Snapshot) -> None:
    """I2: a revision never decreases within an epoch; another epoch is one that some server has served."""
    before, cursor = client.seen, held.cursor
    client.seen = cursor
    if before is None or before == cursor:
        return
    if before.epoch == cursor.epoch:
        if before.revision > cursor.revision:
            raise Broken("I2", f"{client.name} went back from {before} to {cursor}")
    elif before.epoch < cursor.epoch:
        world.counts["epoch changed"] += 1
    elif world.lagged:
        # Epochs have no order that a client could know: a server that is late leads back, as long as it is late.
        world.counts["epoch went back with a late server"] += 1
    else:
        raise Broken("I2", f"{client.name} went back from {before} to {cursor}")


def whole(world: World, client: Client, held: Snapshot) -> None:
    """I3: what is held is a state that was committed, all of it and nothing else."""
    if client.whole is held:
        return
    committed = world.database.snapshots.get(held.cursor)
    if committed is None or committed.flags != held.flags or committed.digest != held.digest:
        raise Broken("I3", f"{client.name} holds {held.cursor}, which was never like that")
    client.whole = held


def never_empty(client: Client) -> None:
    """I4: a program that had flags has flags, unless a snapshot says that there are none."""
    if client.seen is not None and client.ruleset is None:
        raise Broken("I4", f"{client.name} has lost its flags")


def honest_staleness(world: World, client: Client, held: Snapshot, status: Status) -> None:
    """I5: staleness is never understated, and never above the bound that it states."""
    now, staleness, bound = world.loop.time(), status.staleness, status.staleness_bound
    if staleness is None:
        raise Broken("I5", f"{client.name} has flags, and no staleness: {status}")
    outdated_at = world.database.outdated_at.get(held.cursor)
    if outdated_at is not None:
        # The client can't know how late its server is.
        least = now - outdated_at - world.database.most_late - client.line.excuse - world.LOOKS
        if staleness < least:
            raise Broken("I5", f"{client.name} says {staleness:.1f} s, but is stale for {least:.1f} s: {status}")
    if bound is not None and staleness > bound:
        raise Broken("I5", f"{client.name} is stale for {staleness:.1f} s, beyond its bound: {status}")


def evaluation(world: World, client: Client) -> None:
    """I6: evaluation answers at once, with what a ruleset compiled anew from the same snapshot says."""
    ruleset = client.ruleset
    if ruleset is None:
        result = client.manager.evaluate("flag", "user")
        if result.reason is not Reason.NOT_READY:
            raise Broken("I6", f"{client.name} has no flags, and says {result}")
        return
    compiled = world.compiled(ruleset.snapshot.cursor)
    key = next(reversed(list(compiled.snapshot.flags)), "flag")
    result, expected = client.manager.evaluate(key, "user"), compiled.evaluate(key, "user")
    if result.variant_key != expected.variant_key or result.reason != expected.reason:
        raise Broken("I6", f"{client.name} says {result}, not {expected}")


def bounded(world: World) -> None:
    """I7: connections, tasks and what servers keep for readers stay within bounds."""
    for client in world.clients:
        alive = sum(not pipe.dead for pipe in client.line.pipes.values())
        if alive > MOST_CONNECTIONS:
            raise Broken("I7", f"{client.name} has {alive} connections")
        tasks = len(client.manager._session.upkeep.tasks._tasks)
        if tasks > MOST_TASKS:
            raise Broken("I7", f"{client.name} has {tasks} tasks")
    for node in world.nodes:
        if node.up:
            hub, streams = node.hub, len(node.broadcaster)
            if streams > MOST_STREAMS * len(world.clients):
                raise Broken("I7", f"a server has {streams} streams")
            if len(hub._answers) > MOST_ANSWERS or len(hub._gone) > world.settings.max_tombstones:
                raise Broken("I7", f"a server keeps {len(hub._answers)} answers and {len(hub._gone)} tombstones")


def closed(client: Client) -> None:
    """I8: `close` is bounded, and nothing happens afterwards: no task, no request, no call, no file."""
    if client.close_took > CLOSE + 0.1:
        raise Broken("I8", f"{client.name} took {client.close_took:.1f} s to close")
    if client.is_open:
        return
    if client.manager._session.runs:
        raise Broken("I8", f"{client.name} has tasks although it is closed")
    if client.disk.writes != client.writes:
        raise Broken("I8", f"{client.name} has written a file although it is closed")


def backoff(client: Client, now: float) -> None:
    """I9: attempts obey the backoff, whatever the server does; equal moments are looked for by `World.asked`."""
    asked = len(client.line.asked_at) - bisect(client.line.asked_at, now - WINDOW)
    if asked <= MOST_ASKED:
        return
    beginnings = len(client.fresh_at) - bisect(client.fresh_at, now - WINDOW)
    if asked > MOST_ASKED + FOR_A_BEGINNING * beginnings:
        raise Broken("I9", f"{client.name} asked for {asked} streams within {WINDOW:g} s")


def acknowledged(world: World) -> None:
    """I10: what an administrator was told is done stays done, whichever servers are killed."""
    newest = {head.snapshot.epoch: head.snapshot for head in world.database.heads}
    for epoch, flag_id, revision in world.acknowledged:
        snapshot = newest[epoch]
        flag = snapshot.by_id(flag_id)
        if snapshot.revision < revision or (flag is not None and flag.revision < revision):
            raise Broken("I10", f"flag {flag_id} at {epoch}:{revision} was acknowledged, and is not there")
