"""Faults that are drawn: every connection gets what its number and the seed say, so that a seed can be replayed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .faults import Answer, Buffer, Corrupt, Cut, Delay, Drip, Ending, Fault, Split
from .proxy import Request
from .recoding import HTTP10, Gzip

_STATUSES = ("204 No Content", "400 Bad Request", "401 Unauthorized", "404 Not Found", "429 Too Many Requests",
    "500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout")  # fmt: skip
_HTML = Answer("200 OK", b"<html>Welcome to the hotel</html>", ("Content-Type: text/html",))


class RandomFaults:
    """A script (`FaultProxy.script`).

    Args:
        seed: decides everything.
        share: of the connections to which something happens.
    """

    def __init__(self, seed: int, share: float = 0.8) -> None:
        self._seed = seed
        self._share = share
        self._numbers = {True: 0, False: 0}

    def __call__(self, request: Request) -> Sequence[Fault]:
        # Streams and other requests have numbers of their own: which comes first is a matter of chance.
        self._numbers[request.is_stream] += 1
        chance = random.Random(f"{self._seed} {request.is_stream} {self._numbers[request.is_stream]}")
        if chance.random() >= self._share:
            return ()
        ways: tuple[Fault, ...] = (Split(chance.randint(1, 50)), Gzip(), HTTP10(), Delay(chance.random() / 10))
        return (chance.choice(ways), _ended(chance)) if chance.random() < 0.5 else (_ended(chance),)


def _ended(chance: random.Random) -> Fault:
    """Return something after which the answer is not what it was."""
    place, ending = int(chance.expovariate(1 / 1500)), chance.choice(list(Ending))
    return chance.choice(
        (
            Cut(place, ending=ending),
            Cut(b"\n\n", times=chance.randint(1, 12), ending=ending),
            Corrupt(place),
            Drip(chance.randint(5, 50), 0.002),
            Buffer(),
            Answer(chance.choice(_STATUSES), b"{}", ("Content-Length: 2",)),
            Answer("302 Found", b"", ("Location: /elsewhere", "Content-Length: 0")),
            Answer(None, chance.randbytes(40)),
            _HTML,
        )
    )
