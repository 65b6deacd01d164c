"""The list of steps that a seed makes."""

from __future__ import annotations

import random
from typing import NamedTuple

from .steps import KINDS
from .world import World

#: Steps of a schedule, at least and at most.
_LENGTH = (6, 16)
_PAUSES = (0.0, 0.01, 0.3, 0.3, 2.0, 10.0, 45.0)


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


def schedule(seed: int, length: int | None = None) -> list[Step]:
    """Return the steps of a seed; of another number than the seed says if `length` is given."""
    chance = random.Random(seed)
    kinds = [kind for kind, (weight, _) in KINDS.items() for _ in range(weight)]
    count = chance.randint(*_LENGTH) if length is None else length
    return [Step(chance.choice(kinds), chance.getrandbits(32), chance.choice(_PAUSES)) for _ in range(count)]


async def take(world: World, step: Step) -> None:
    """Let a step happen."""
    world.counts[f"step {step.kind}"] += 1
    world.note(f"step: {step.kind} ({step.number}), then {step.pause:g} s")
    await KINDS[step.kind][1](world, random.Random(step.number))
