"""One client's way to the servers, with its faults."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple

from flagent.errors import TransportError

if TYPE_CHECKING:
    from .network import Pipe

#: Seconds between heartbeats.
_HEARTBEAT = 15.0
#: Where an altered digit would make another cursor of a cursor. No digest covers it, so nobody could know: against that
#: there are the checksums of TCP and the authentication of TLS.
_CURSORS = re.compile(rb'"(?:revision|from)":"[^"]*"|\nid: [^\n]*')


class Canned(NamedTuple):
    """What somebody between client and server answers instead of it."""

    status: int
    content_type: str = "text/html"
    retry_after: str | None = None
    body: bytes = b"<html>"


class Line:
    """One client's way to the servers.

    Args:
        chance: decides about delays and damages.
        counts: of what has happened.

    Attributes:
        server: which server it leads to.
        down: connections are refused.
        frozen: nothing arrives, and nobody is told.
        slow: the client takes about half a second for each piece.
        holds: streams are held back, as by a proxy that buffers.
        flaps: each stream ends after its first message.
        poisons: changes on streams can't be read, and that again at each connection.
        delay: bounds in seconds of the time that a message takes.
        corrupts: how many of the next pieces are altered on the way.
        repeats: how many of the next messages of a stream arrive twice.
        drops: how many of the next messages of a stream get lost.
        swaps: how many of the next messages of a stream come after the one that follows them.
        truncates: how many of the next answers or messages break off in the middle.
        canned: what is answered to the next requests by somebody else.
        lateness: the most seconds that anything was on its way.
        garbled: whether anything was altered: a clock, perhaps.
        pipes: what is open.
        refuses: what is answered to everything by somebody else; None for nothing.
        asked_at: when streams were asked for.
        used_at: when anything was asked for.
    """

    def __init__(self, chance: random.Random, counts: Counter[str]) -> None:
        self.chance = chance
        self.counts = counts
        self.server = 0
        self.canned: deque[Canned] = deque()
        self.lateness = 0.0
        self.garbled = False
        self.pipes: dict[int, Pipe] = {}
        self.refuses: Canned | None = None
        self.asked_at: list[float] = []
        self.used_at: list[float] = []
        self.mend()

    def mend(self) -> None:
        """Be well again; what was frozen stays dead."""
        self.down = self.frozen = self.slow = self.holds = self.flaps = self.poisons = False
        self.delay = (0.001, 0.02)
        self.corrupts = self.repeats = self.drops = self.swaps = self.truncates = 0
        self.canned.clear()
        for pipe in list(self.pipes.values()):
            if pipe.held:
                # What a proxy has held back that long it does not send any more.
                pipe.cut()

    def freeze(self) -> None:
        """Let nothing through from now on, also on connections that are open, for ever."""
        self.frozen = True
        for pipe in self.pipes.values():
            pipe.die()

    def cut(self) -> None:
        """Break all connections."""
        for pipe in list(self.pipes.values()):
            pipe.cut()

    @property
    def stream(self) -> Pipe | None:
        """The newest stream that is open and not dead."""
        return next((pipe for pipe in reversed(self.pipes.values()) if pipe.streams and not pipe.dead), None)

    @property
    def is_well(self) -> bool:
        """Whether everything gets through, whole and soon."""
        faults = self.corrupts + self.repeats + self.drops + self.swaps + self.truncates
        disturbed = self.down or self.frozen or self.slow or self.holds or self.flaps or self.poisons or self.canned
        return not faults and not disturbed and self.delay[1] < 0.1

    async def trip(self) -> None:
        """Wait as long as a message takes in one direction.

        Raises:
            TransportError: there is nobody.
        """
        if self.down:
            raise TransportError("refused", kind="refused")
        if self.frozen:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self.chance.uniform(*self.delay))
        if self.down:
            raise TransportError("the connection broke")

    def takes(self, fault: str) -> bool:
        """Return whether the next message meets with a fault, of which there is one less then."""
        left: int = getattr(self, fault)
        if not left:
            return False
        setattr(self, fault, left - 1)
        self.counts[f"message {fault}"] += 1
        self.garbled |= fault == "corrupts"
        return True

    @property
    def excuse(self) -> float:
        """Seconds by which the client may be wrong about when it was current."""
        # Whatever was altered, it may now say nothing: then that something is missing shows with the next heartbeat.
        return self.lateness + 2 * _HEARTBEAT if self.garbled else 0.0

    def altered(self, body: bytes) -> bytes:
        """Return a piece as it arrives."""
        if len(body) < 2 or not self.takes("corrupts"):
            return body
        spared = {place for found in _CURSORS.finditer(body) for place in range(*found.span())}
        places = [place for place in range(len(body)) if place not in spared]
        # A digit becomes another one, so that what arrives can often still be read.
        digits = [place for place in places if body[place : place + 1].isdigit()]
        place = self.chance.choice(digits if digits and self.chance.random() < 0.8 else places or [0])
        return body[:place] + bytes([48 + self.chance.randrange(10)]) + body[place + 1 :]
