"""What must be true at every moment: I1 to I10 of the reliability document, each as a check that can say why not.

They look at what a program sees of its manager, and compare it with what the database has ever held. What they allow
beyond that is stated with each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flagent.client.status import State
from flagent.client.suspension import LOOK
from flagent.core.changes import Snapshot
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
#: Seconds that `close` may take, as documented.
CLOSE = 2.0


class Broken(AssertionError):
    """An invariant does not hold."""


def demand(holds: bool, invariant: str, said: str) -> None:
    """Raise `Broken` unless something holds."""
    if not holds:
        raise Broken(f"{invariant}: {said}")


def is_current(world: World, client: Client) -> bool:
    """Return whether a client has what the database has, and a stream that will tell it more."""
    # A stream that is old enough is just being replaced.
    moving = world.settings.max_age > 0 and client.manager.status.since <= world.MOVING
    return client.cursor == world.database.snapshot.cursor and (client.manager.is_realtime_enabled() or moving)


def convergence(world: World, when: str) -> None:
    """I1: once faults have stopped, every client has what the database has, and so has everybody it tells."""
    for client in world.clients:
        status, newest = client.manager.status, world.database.snapshot
        demand(
            client.cursor == newest.cursor, "I1", f"{client.name} is at {client.cursor}, not {newest.cursor}, {when}"
        )
        demand(is_current(world, client), "I1", f"{client.name} has no stream {when}: {status}")
        told = client.known is None or client.known == newest.flags
        demand(told, "I1", f"{client.name}: its listener was told of other flags than it holds, {when}")
        demand(
            status.divergences == 0 or world.damaged, "G4", f"{client.name} has diverged, and nobody altered anything"
        )
    for node in world.nodes:
        demand(node.hub.cursor == newest.cursor, "I1", f"a server is at {node.hub.cursor}, not {newest.cursor}, {when}")
        demand(node.hub.divergences == 0, "G4", "a server has diverged from its own log")


def monotonic(world: World, client: Client, held: Snapshot) -> None:
    """I2: a revision never decreases within an epoch; another epoch is one that some server has served."""
    before, cursor = client.seen, held.cursor
    client.seen = cursor
    if before is None or before == cursor:
        return
    if before.epoch == cursor.epoch:
        demand(before.revision < cursor.revision, "I2", f"{client.name} went back from {before} to {cursor}")
    elif before.epoch > cursor.epoch:
        # Epochs have no order that a client could know: a server that is late leads back, until it is not late any more.
        demand(world.lagged, "I2", f"{client.name} went back from {before} to {cursor}")
        world.counts["epoch went back with a late server"] += 1
    else:
        world.counts["epoch changed"] += 1


def whole(world: World, client: Client, held: Snapshot) -> None:
    """I3: what is held is a state that was committed, all of it and nothing else."""
    committed = world.database.snapshots.get(held.cursor)
    same = committed is not None and committed.flags == held.flags and committed.digest == held.digest
    demand(same, "I3", f"{client.name} holds {held.cursor}, which was never like that")


def never_empty(world: World, client: Client) -> None:
    """I4: a program that had flags has flags, unless a snapshot says that there are none."""
    had = client.seen is not None
    demand(not had or client.ruleset is not None, "I4", f"{client.name} has lost its flags")


def honest_staleness(world: World, client: Client, held: Snapshot, now: float) -> None:
    """I5: staleness is never understated, but for what was on its way; and never above the bound that it states."""
    status = client.manager.status
    staleness, bound = status.staleness, status.staleness_bound
    outdated_at = world.database.outdated_at.get(held.cursor)
    if outdated_at is not None and staleness is not None:
        # The client can't know how late its server is, nor when what it reads was written.
        least = now - outdated_at - world.database.most_late - client.line.lateness - world.LOOKS
        demand(
            staleness >= least, "I5", f"{client.name} says {staleness:.1f} s, but is stale for {least:.1f} s: {status}"
        )
    # That the machine was asleep is found out soon after it wakes, and not at once.
    awake = now - world.woke_at > LOOK + 2.0
    if status.state is State.LIVE and bound is not None and staleness is not None and awake:
        demand(staleness <= bound + 1.0, "I5", f"{client.name} is live, and stale for {staleness:.1f} s: {status}")


def evaluation(world: World, client: Client) -> None:
    """I6: evaluation answers at once, with what a ruleset compiled anew from the same snapshot says."""
    flags = None if client.ruleset is None else client.ruleset.snapshot
    keys = ["flag1.0"] if flags is None else ["flag1.0", *sorted(flags.flags)[:2]]
    for key in keys:
        result = client.manager.evaluate(key, "user")
        if flags is None:
            demand(result.reason is Reason.NOT_READY, "I6", f"{client.name} has no flags, and says {result}")
        else:
            expected = world.compiled(flags.cursor).evaluate(key, "user")
            same = (result.variant_key, result.reason) == (expected.variant_key, expected.reason)
            demand(same, "I6", f"{client.name} says {result}, not {expected}")


def bounded(world: World, client: Client) -> None:
    """I7: connections, tasks and what servers keep for readers stay within bounds."""
    alive = sum(not pipe.dead for pipe in client.line.pipes.values())
    demand(alive <= MOST_CONNECTIONS, "I7", f"{client.name} has {alive} connections")
    tasks = len(client.manager._session._tasks._tasks)
    demand(tasks <= MOST_TASKS, "I7", f"{client.name} has {tasks} tasks")
    for node in world.nodes:
        if node.up:
            streams, answers = len(node.broadcaster), len(node.hub._answers)
            demand(streams <= 4 * len(world.clients), "I7", f"a server has {streams} streams")
            demand(answers <= 24, "I7", f"a server keeps {answers} answers")


def closed(client: Client) -> None:
    """I8: `close` is bounded, and nothing happens afterwards: no task, no request, no call, no file."""
    demand(client.close_took <= CLOSE + 0.1, "I8", f"{client.name} took {client.close_took:.1f} s to close")
    if not client.is_open:
        demand(not client.manager._session.runs, "I8", f"{client.name} has tasks although it is closed")
        demand(client.disk.writes == client.writes, "I8", f"{client.name} has written a file although it is closed")


def backoff(client: Client, now: float) -> None:
    """I9: attempts obey the backoff, whatever the server does; equal moments are looked for by `World.asked`."""
    asked = sum(at > now - WINDOW for at in client.line.asked_at[-200:])
    beginnings = sum(at > now - WINDOW for at in client.fresh_at)
    most = MOST_ASKED + FOR_A_BEGINNING * beginnings
    demand(asked <= most, "I9", f"{client.name} asked for {asked} streams within {WINDOW:g} s, and not {most}")


def acknowledged(world: World) -> None:
    """I10: what an administrator was told is done stays done, whichever servers are killed."""
    newest = {head.snapshot.epoch: head.snapshot for head in world.database.heads}
    for epoch, flag_id, revision in world.acknowledged:
        snapshot = newest[epoch]
        flag = snapshot.by_id(flag_id)
        kept = snapshot.revision >= revision and (flag is None or flag.revision >= revision)
        demand(kept, "I10", f"flag {flag_id} at {epoch}:{revision} was acknowledged, and is not there")
