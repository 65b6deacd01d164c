"""What happens: steps, each with a number that decides its details, and the list of them that a seed makes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from .client import Client
from .world import World

#: Steps of a schedule.
_LENGTH = (10, 30)


class Step(NamedTuple):
    """Something that happens, and the pause after it.

    Attributes:
        kind: what.
        number: decides about whom and how.
        pause: seconds until the next step.
    """

    kind: str
    number: int
    pause: float


def schedule(seed: int) -> list[Step]:
    """Return the steps of a seed."""
    chance = random.Random(seed)
    kinds = [kind for kind, (weight, _) in _KINDS.items() for _ in range(weight)]
    steps = []
    for _ in range(chance.randint(*_LENGTH)):
        pause = chance.choice((0.0, 0.01, 0.3, 2.0, 10.0, 50.0))
        steps.append(Step(chance.choice(kinds), chance.getrandbits(32), pause))
    return steps


async def take(world: World, step: Step) -> None:
    """Let a step happen."""
    await _KINDS[step.kind][1](world, random.Random(step.number))


async def _edit(world: World, chance: random.Random) -> None:
    world.log.edit(chance)


async def _burst(world: World, chance: random.Random) -> None:
    for _ in range(chance.choice((3, 10, 40))):
        world.log.edit(chance)
        if chance.random() < 0.3:
            await asyncio.sleep(0)


async def _truncate(world: World, _chance: random.Random) -> None:
    world.log.truncate()


async def _restore(world: World, chance: random.Random) -> None:
    world.log.restore(chance)


def _on_line(act: Callable[[Client, random.Random], None]) -> Callable[[World, random.Random], Awaitable[None]]:
    async def take_step(world: World, chance: random.Random) -> None:
        act(chance.choice(world.clients), chance)

    return take_step


def _down(client: Client, _chance: random.Random) -> None:
    client.line.down = True
    client.line.cut()


def _delay(client: Client, chance: random.Random) -> None:
    client.line.delay = chance.choice(((0.0, 0.0), (0.1, 0.5), (0.5, 2.0)))


def _corrupt(client: Client, chance: random.Random) -> None:
    client.line.corrupts = chance.randint(1, 3)
    client.world.corrupted = True


def _repeat(client: Client, chance: random.Random) -> None:
    client.line.repeats = chance.randint(1, 4)


def _elsewhere(client: Client, _chance: random.Random) -> None:
    client.line.server = 1 - client.line.server
    client.line.cut()


async def _kill(world: World, chance: random.Random) -> None:
    chance.choice(world.nodes).kill()


async def _drain(world: World, chance: random.Random) -> None:
    node = chance.choice(world.nodes)
    if node.up:
        world.begin(node.drain())


async def _start(world: World, _chance: random.Random) -> None:
    for node in world.nodes:
        if not node.up:
            node.start()


async def _lag(world: World, chance: random.Random) -> None:
    world.nodes[1].lag = chance.choice((0.0, 0.5, world.MOST_LAG))


async def _close(world: World, chance: random.Random) -> None:
    client = chance.choice(world.clients)
    if client.is_open:
        await client.close()


async def _begin(world: World, _chance: random.Random) -> None:
    for client in world.clients:
        if not client.is_open:
            client.begin()


async def _restart(world: World, chance: random.Random) -> None:
    client = chance.choice(world.clients)
    if client.is_open:
        await client.close()
    client.begin()


async def _refresh(world: World, chance: random.Random) -> None:
    client = chance.choice(world.clients)
    if client.is_open:
        world.begin(client.manager.refresh())


async def _stream_off_and_on(world: World, chance: random.Random) -> None:
    client = chance.choice(world.clients)
    if client.is_open:
        await client.manager.disable_realtime_updates()
        world.begin(client.manager.enable_realtime_updates())


async def _clock(world: World, chance: random.Random) -> None:
    world.loop.wall += chance.choice((-3600.0, 3600.0, -3.0e8))


def _fork(client: Client, _chance: random.Random) -> None:
    if client.is_open:
        client.fork()


async def _calm(world: World, chance: random.Random) -> None:
    """Mend everything, wait until all is well, and demand that an edit then arrives at once."""
    await world.settle()
    world.log.edit(chance)
    await asyncio.sleep(world.PROMPT)
    world.expect_all_current(f"{world.PROMPT} s after an edit, with everything well")


#: Each kind with how often it comes, and what it does.
_KINDS: dict[str, tuple[int, Callable[[World, random.Random], Awaitable[None]]]] = {
    "edit": (8, _edit),
    "burst": (3, _burst),
    "truncate": (1, _truncate),
    "restore": (1, _restore),
    "cut": (4, _on_line(lambda client, _: client.line.cut())),
    "down": (2, _on_line(_down)),
    "freeze": (2, _on_line(lambda client, _: client.line.freeze())),
    "slow": (2, _on_line(lambda client, _: setattr(client.line, "slow", True))),
    "delay": (2, _on_line(_delay)),
    "corrupt": (2, _on_line(_corrupt)),
    "repeat": (2, _on_line(_repeat)),
    "mend": (4, _on_line(lambda client, _: client.line.mend())),
    "elsewhere": (3, _on_line(_elsewhere)),
    "kill": (2, _kill),
    "drain": (1, _drain),
    "start": (3, _start),
    "lag": (2, _lag),
    "close": (1, _close),
    "begin": (1, _begin),
    "restart": (2, _restart),
    "refresh": (1, _refresh),
    "stream off and on": (1, _stream_off_and_on),
    "clock": (1, _clock),
    "fork": (1, _on_line(_fork)),
    "disk full": (1, _on_line(lambda client, _: setattr(client.disk, "fails", True))),
    "disk loses": (1, _on_line(lambda client, _: setattr(client.disk, "loses", True))),
    "disk damaged": (1, _on_line(lambda client, _: client.disk.damage())),
    "calm": (1, _calm),
}
