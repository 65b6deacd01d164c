"""Streams that are told the same share one reader: it is asked once, and what it says is written to all of them.

What two readers with the same filter are told depends on where they stand and on nothing else. So a stream that
has caught up joins the others that stand where it does, and one that can't be written to leaves with a reader of
its own. An audience is served in one go and is small enough for that: nobody joins or leaves in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

from ..core.changes import Cursor
from .hub import Hub
from .interests import Interests
from .stream import Reader, Stream

#: Streams of one audience: about two milliseconds of writing, after which others on the event loop have a turn.
SIZE = 250

_Place = tuple[Hashable, Cursor]


class Audience:
    """Streams that stand at one place.

    Attributes:
        reader: says what they are told.
        direct: streams whose connection takes bytes as they are, and its descriptor. Whatever is done for each of
            them besides costs as much as writing to it, so that their bytes are counted here.
        others: streams that have to be written to by their outlet.
        written: bytes that were written to each of `direct`, also before it was one of them.
        place: what others have to have in common with them to join; None when nobody can.
        written_at: when something was written to all of them; to some it may have been later.
    """

    __slots__ = ("direct", "others", "place", "reader", "written", "written_at")

    def __init__(self, reader: Reader, now: float) -> None:
        self.reader = reader
        # In the order in which they were opened, which is how they lie in memory.
        self.direct: dict[Stream, int] = {}
        self.others: dict[Stream, None] = {}
        self.written = 0
        alike = reader.alike
        self.place: _Place | None = None if alike is None else (alike, reader.cursor)
        self.written_at = now

    def __len__(self) -> int:
        return len(self.direct) + len(self.others)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All of them."""
        return (*self.direct, *self.others)

    def add(self, stream: Stream) -> None:
        """Take a stream in, which from now on reads by the common reader."""
        stream.audience, stream.reader = self, self.reader
        direct = stream.outlet.direct
        if direct is None:
            self.others[stream] = None
        else:
            self.direct[stream] = direct
            stream.direct_bytes -= self.written

    def remove(self, stream: Stream) -> None:
        """Let a stream go."""
        stream.audience = None
        if stream in self.direct:
            del self.direct[stream]
            stream.direct_bytes += self.written
        else:
            del self.others[stream]


class Audiences:
    """All audiences that are served at the same time.

    Attributes:
        served: up to here everybody was told what is of interest to them.
    """

    def __init__(self, hub: Hub) -> None:
        self.served = self._reaching = hub.cursor
        self._hub = hub
        # Those that were silent longest come first: whoever is written to goes to the end.
        self._quiet: dict[Audience, None] = {}
        # Those that have room.
        self._open: dict[_Place, Audience] = {}
        self._interests: Interests[Audience] = Interests()

    @property
    def silent_since(self) -> float:
        """When the audience that has heard nothing for longest was written to; infinity without any."""
        for audience in self._quiet:
            return audience.written_at
        return math.inf

    def join(self, stream: Stream, now: float) -> bool:
        """Put a stream, which was written to just now, beside its equals; return whether it is the first of all."""
        alike = stream.reader.alike
        audience = None if alike is None else self._open.get((alike, stream.reader.cursor))
        first = not self._quiet
        if audience is None:
            audience = Audience(stream.reader, now)
            self._quiet[audience] = None
            self._interests.add(audience, audience.reader.wanted)
        audience.add(stream)
        self._offer(audience)
        return first

    def leave(self, stream: Stream) -> None:
        """Give a stream a reader of its own, unless it needs none any more."""
        audience = stream.audience
        if audience is None:
            return
        audience.remove(stream)
        if not stream.ended:
            stream.reader = audience.reader.copy()
        if len(audience):
            self._offer(audience)
        else:
            self._drop(audience)

    def due(self) -> list[Audience]:
        """Return those that the news may concern; when all of them have been told, `arrive` has to be called."""
        missed = self._hub.frames_after(self.served)
        self._reaching = self._hub.cursor
        if missed is None:
            return list(self._quiet)
        found = self._interests.concerned(missed)
        for audience in found:
            audience.reader.skip(self.served)
        return found

    def arrive(self) -> None:
        """Note that all who were due have been told.

        Not before: others have turns in the middle of it, and nobody may pass over what they were not told yet.
        """
        self.served = self._reaching

    def silent(self, since: float) -> list[Audience]:
        """Return those that have heard nothing from that moment on."""
        found = []
        for audience in self._quiet:
            if audience.written_at > since:
                break
            audience.reader.skip(self.served)
            found.append(audience)
        return found

    def told(self, audience: Audience, now: float) -> None:
        """Note that an audience was written to."""
        audience.written_at = now
        # One whose streams have all left meanwhile is not kept any more.
        if audience in self._quiet:
            del self._quiet[audience]
            self._quiet[audience] = None

    def moved(self, audience: Audience) -> None:
        """See whether the audience has come to where others are already."""
        place, cursor = audience.place, audience.reader.cursor
        if place is None or place[1] is cursor or not len(audience):
            return
        if self._open.get(place) is audience:
            del self._open[place]
        audience.place = place = (place[0], cursor)
        other = self._open.get(place)
        if other is not None and len(other) + len(audience) <= SIZE:
            # Nobody shall wait for a sign of life for longer than before.
            keep, drop = sorted((audience, other), key=lambda each: each.written_at)
            for stream in drop.streams:
                drop.remove(stream)
                keep.add(stream)
            self._drop(drop)
            audience = keep
        self._offer(audience)

    def settle(self) -> None:
        """Let every reader know how far it has got, which otherwise is done when there is something for it."""
        for audience in self._quiet:
            audience.reader.skip(self.served)

    def _offer(self, audience: Audience) -> None:
        """Let others join if there is room."""
        place = audience.place
        if place is None:
            return
        if len(audience) < SIZE:
            self._open.setdefault(place, audience)
        elif self._open.get(place) is audience:
            del self._open[place]

    def _drop(self, audience: Audience) -> None:
        del self._quiet[audience]
        self._interests.remove(audience, audience.reader.wanted)
        if audience.place is not None and self._open.get(audience.place) is audience:
            del self._open[audience.place]
