"""What may happen in a schedule: each kind of step, how often it comes, and what it does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial

from . import invariants
from .client import Client
from .decisions import some_edit
from .line import Canned
from .world import World

Take = Callable[[World, random.Random], Awaitable[None]]


def _step(act: Callable[[World, random.Random], None]) -> Take:
    async def take_step(world: World, chance: random.Random) -> None:
        act(world, chance)

    return take_step


def _on_client(act: Callable[[Client, random.Random], None]) -> Take:
    return _step(lambda world, chance: act(chance.choice(world.clients), chance))


def _on_line(fault: str, *, cut: bool) -> Take:
    def act(client: Client, _chance: random.Random) -> None:
        setattr(client.line, fault, True)
        if cut:
            client.line.cut()

    return _on_client(act)


def _messages(fault: str) -> Take:
    def act(client: Client, chance: random.Random) -> None:
        setattr(client.line, fault, chance.randint(1, 4))
        client.world.damaged |= fault == "corrupts"

    return _on_client(act)


async def _edit(world: World, chance: random.Random) -> None:
    node = chance.choice(world.nodes)
    if node.up:
        world.begin(world.edit(node, some_edit(chance)))


def _edit_elsewhere(world: World, chance: random.Random) -> None:
    world.database.edit(some_edit(chance), round(world.loop.time() * 1000))


async def _burst(world: World, chance: random.Random) -> None:
    for _ in range(chance.choice((3, 10, 40))):
        if chance.random() < 0.5:
            await _edit(world, chance)
        else:
            _edit_elsewhere(world, chance)


def _delay(client: Client, chance: random.Random) -> None:
    client.line.delay = chance.choice(((0.0001, 0.001), (0.1, 0.5), (0.5, 2.0)))


def _elsewhere(client: Client, _chance: random.Random) -> None:
    client.line.server = 1 - client.line.server
    client.line.cut()


def _other_answers(client: Client, chance: random.Random) -> None:
    canned = chance.choice(
        (
            *(Canned(status) for status in (204, 401, 404, 500)),
            *(Canned(status, retry_after=chance.choice(("3", "soon", "0"))) for status in (429, 503)),
            Canned(200, "text/html"),
            Canned(200, "application/json", body=b"{}"),
            Canned(200, "text/event-stream", body=b""),
            Canned(200, "text/event-stream; charset=utf-8", body=b": hello\n\n"),
        )
    )
    client.line.canned.extend([canned] * chance.randint(1, 3))
    client.line.cut()


async def _drain(world: World, chance: random.Random) -> None:
    node = chance.choice(world.nodes)
    if node.up and not node.broadcaster.draining:
        world.begin(node.drain())


def _start(world: World, _chance: random.Random) -> None:
    for node in world.nodes:
        node.start()


async def _slow_reader(world: World, chance: random.Random) -> None:
    """Write more to a client than it takes, and demand that it gets all of it once it takes more."""
    client = chance.choice(world.clients)
    # A line that loses something meanwhile makes another story.
    stream = client.line.stream if client.line.is_well else None
    client.line.slow = True
    for _ in range(4):
        for _ in range(10):
            _edit_elsewhere(world, chance)
        await world.pause(0.5)
    client.line.slow = False
    await world.pause(6.0)
    node = world.nodes[client.line.server]
    cursor = node.hub.cursor if node.up else None
    await world.pause(2.0)
    if cursor and client.is_open and client.line.is_well and stream and stream is client.line.stream:
        invariants.served(client, cursor)


async def _late_server(world: World, chance: random.Random) -> None:
    """Move a client to a server that does not know yet what the client knows."""
    client = chance.choice(world.clients)
    world.nodes[1].disturb(lag=chance.choice((3.0, 10.0)))
    world.lagged = True
    if chance.random() < 0.3:
        world.database.restore(chance)
    for _ in range(3):
        _edit_elsewhere(world, chance)
    await world.pause(chance.choice((0.3, 2.0)))
    client.line.server = 1
    client.line.cut()


def _lag(world: World, chance: random.Random) -> None:
    lag = chance.choice((0.0, 0.5, 5.0, 10.0))
    world.lagged = world.lagged or lag > 0
    world.nodes[1].disturb(lag=lag)


def _database(world: World, chance: random.Random, *, down: bool) -> None:
    for node in [chance.choice(world.nodes)] if down else world.nodes:
        node.disturb(database_down=down)
    world.lagged = world.lagged or down


async def _close(world: World, chance: random.Random) -> None:
    client = chance.choice(world.clients)
    if client.is_open:
        await client.close()


async def _close_at_work(world: World, chance: random.Random) -> None:
    """Close a client while others wait for what it does, and perhaps for ever."""
    client = chance.choice(world.clients)
    if not client.is_open:
        return
    if chance.random() < 0.5:
        client.line.freeze()
    for _ in range(2):
        _refresh(client, chance)
    client.world.begin(client.manager.enable_realtime_updates(), client)
    await asyncio.sleep(chance.uniform(0.0, 0.05))
    await client.close()


async def _restart(world: World, chance: random.Random) -> None:
    client = chance.choice(world.clients)
    if client.is_open:
        await client.close()
    client.begin()


async def _crash(world: World, chance: random.Random) -> None:
    client = chance.choice(world.clients)
    if client.is_open:
        await client.crash()
    client.begin()


def _begin(world: World, _chance: random.Random) -> None:
    for client in [each for each in world.clients if not each.is_open]:
        client.begin()


def _fork(client: Client, _chance: random.Random) -> None:
    if client.is_open:
        client.fork()


def _refresh(client: Client, _chance: random.Random) -> None:
    if client.is_open:
        client.stream_anew()
        client.world.begin(client.manager.refresh(), client)


async def _stream_off_and_on(world: World, chance: random.Random) -> None:
    client = chance.choice(world.clients)
    if client.is_open:
        client.stream_anew()
        await client.manager.disable_realtime_updates()
        world.begin(client.manager.enable_realtime_updates(), client)


async def _stream_off(world: World, chance: random.Random) -> None:
    """Let a client poll for two minutes."""
    client = chance.choice(world.clients)
    if client.is_open:
        client.stream_anew()
        await client.manager.disable_realtime_updates()
        await world.pause(120.0)
        client.stream_anew()
        world.begin(client.manager.enable_realtime_updates(), client)


def _clock(world: World, chance: random.Random) -> None:
    world.loop.wall += chance.choice((-3600.0, 3600.0, -3.0e8))


def _suspend(world: World, chance: random.Random) -> None:
    """Let the machine sleep: all connections are dead when it wakes, and its clocks disagree."""
    world.loop.slept += chance.choice((3.0, 600.0))
    for client in world.clients:
        client.stream_anew()
        for pipe in client.line.pipes.values():
            pipe.die()


def _damage_disk(client: Client, chance: random.Random) -> None:
    before = client.kept()
    if client.disk.damage(chance):
        client.world.damaged_disks = True
    invariants.survives_damage(client, before)


async def _calm(world: World, chance: random.Random) -> None:
    """Mend everything, wait until all is well, and demand that an edit then arrives at once."""
    await world.settle()
    world.database.edit(some_edit(chance), round(world.loop.time() * 1000))
    seconds = world.MOVING if world.settings.max_age else world.PROMPT
    await world.pause(seconds)
    world.expect_convergence(f"{seconds:g} s after an edit, with everything well")


#: Each kind with how often it comes, and what it does.
KINDS: dict[str, tuple[int, Take]] = {
    "edit": (8, _edit),
    "edit elsewhere": (3, _step(_edit_elsewhere)),
    "burst": (3, _burst),
    "truncate log": (1, _step(lambda world, _: world.database.truncate())),
    "restore": (1, _step(lambda world, chance: world.database.restore(chance))),
    "cut": (4, _on_client(lambda client, _: client.line.cut())),
    "down": (2, _on_line("down", cut=True)),
    "freeze": (2, _on_client(lambda client, _: client.line.freeze())),
    "slow": (2, _on_line("slow", cut=False)),
    "slow reader": (1, _slow_reader),
    "hold": (1, _on_line("holds", cut=True)),
    "poison": (2, _on_line("poisons", cut=False)),
    "flap": (2, _on_line("flaps", cut=True)),
    "delay": (2, _on_client(_delay)),
    "corrupt": (2, _messages("corrupts")),
    "repeat": (2, _messages("repeats")),
    "drop": (2, _messages("drops")),
    "swap": (2, _messages("swaps")),
    "truncate": (2, _messages("truncates")),
    "other answers": (2, _on_client(_other_answers)),
    "mend": (4, _on_client(lambda client, _: client.line.mend())),
    "elsewhere": (3, _on_client(_elsewhere)),
    "kill": (2, _step(lambda world, chance: chance.choice(world.nodes).kill())),
    "drain": (1, _drain),
    "start": (4, _step(_start)),
    "lag": (2, _step(_lag)),
    "late server": (2, _late_server),
    "database down": (1, _step(partial(_database, down=True))),
    "database up": (2, _step(partial(_database, down=False))),
    "close": (2, _close),
    "close at work": (2, _close_at_work),
    "begin": (2, _step(_begin)),
    "restart": (2, _restart),
    "crash": (2, _crash),
    "fork": (1, _on_client(_fork)),
    "refresh": (2, _on_client(_refresh)),
    "stream off and on": (1, _stream_off_and_on),
    "stream off": (1, _stream_off),
    "clock": (1, _step(_clock)),
    "suspend": (1, _step(_suspend)),
    "disk full": (1, _on_client(lambda client, _: setattr(client.disk, "full", True))),
    "disk broken": (1, _on_client(lambda client, _: setattr(client.disk, "broken", True))),
    "disk damaged": (1, _on_client(_damage_disk)),
    "disk mended": (1, _on_client(lambda client, _: client.disk.__dict__.update(full=False, broken=False))),
    "calm": (1, _calm),
}
