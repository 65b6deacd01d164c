"""What goes wrong in a soak: one thing after the other, for a while each, by a seed."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .processes import ClientProcess, ServerProcess

#: Waits for so many seconds; returns early, and true, when the soak has to end.
Wait = Callable[[float], bool]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        name: what.
        take: does it, for some seconds, and undoes it.
    """

    name: str
    take: Callable[[float], object]


def of_the_server(server: ServerProcess, wait: Wait) -> list[Fault]:
    """Return the faults of a server: killed, stopped in good order, and frozen."""

    def killed(seconds: float) -> None:
        server.signal(signal.SIGKILL)
        server.wait()
        wait(seconds)
        server.start()

    def deployed(_seconds: float) -> None:
        server.signal(signal.SIGTERM)
        server.wait()
        server.start()

    def frozen(seconds: float) -> None:
        server.signal(signal.SIGSTOP)
        wait(seconds)
        server.signal(signal.SIGCONT)

    return [Fault("server killed", killed), Fault("server deployed", deployed), Fault("server frozen", frozen)]


def of_clients(clients: Sequence[ClientProcess], chance: random.Random, wait: Wait) -> list[Fault]:
    """Return the faults of the clients' processes."""

    def frozen(seconds: float) -> None:
        client = chance.choice(clients)
        client.signal(signal.SIGSTOP)
        wait(seconds)
        client.signal(signal.SIGCONT)

    def killed(_seconds: float) -> None:
        client = chance.choice(clients)
        client.signal(signal.SIGKILL)
        client.wait()
        client.start()

    return [Fault("clients frozen", frozen), Fault("clients killed", killed)]


def duration(chance: random.Random) -> float:
    """Draw the seconds that a fault lasts: mostly short, sometimes longer than clients wait for a sign of life."""
    return min(60.0, chance.expovariate(1 / 8.0) + 0.5)
