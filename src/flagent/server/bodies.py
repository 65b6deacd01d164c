"""The export's bodies: encoded and compressed once per revision and form, off the event loop, for all requests."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Iterable
from typing import Any, NamedTuple

from msgspec.structs import replace

from ..core.changes import Cursor, Delta, Snapshot
from ..core.model import Flag
from ..wire.codec import View, encode_delta, encode_snapshot
from .filters import EVERYTHING, Filter
from .hub import Hub
from .negotiation import Coding, Media, encoded

#: Bodies of one revision that are kept; those that were not asked for the longest go first.
_MOST = 128
#: Bytes of bodies of one revision that are kept, apart from the newest one.
_MOST_BYTES = 256 << 20


class Form(NamedTuple):
    """What a body holds, and how it is written.

    Attributes:
        view: how much of a flag is shown.
        media: as which type.
        coding: compressed how.
        wanted: which flags.
        after: the cursor that the net change begins at; None for the whole snapshot.
    """

    view: View
    media: Media = Media.JSON
    coding: Coding = Coding.IDENTITY
    wanted: Filter = EVERYTHING
    after: Cursor | None = None


class Bodies:
    """The bodies of the newest snapshot that was asked for.

    Attributes:
        made: how many were encoded or compressed; far fewer than were sent.
    """

    def __init__(self, hub: Hub) -> None:
        self.made = 0
        self._hub = hub
        self._snapshot: Snapshot | None = None
        self._made: OrderedDict[Form, asyncio.Task[bytes]] = OrderedDict()

    async def newest(self, form: Form) -> tuple[Snapshot, bytes]:
        """Return a body, and the snapshot that it is of; whoever asks while it is being made waits for the same one."""
        snapshot = self._hub.snapshot
        if snapshot is not self._snapshot:
            self._snapshot, self._made = snapshot, OrderedDict()
        # Shielded: a client that hangs up must not take the body from the others.
        return snapshot, await asyncio.shield(self._making(snapshot, form))

    def _making(self, snapshot: Snapshot, form: Form) -> asyncio.Task[bytes]:
        making = self._made.get(form)
        if making is None or (making.done() and (making.cancelled() or making.exception() is not None)):
            making = self._made[form] = asyncio.create_task(self._make(snapshot, form))
            making.add_done_callback(lambda _: self._trim())
        self._made.move_to_end(form)
        return making

    def _make(self, snapshot: Snapshot, form: Form) -> Coroutine[Any, Any, bytes]:
        self.made += 1
        # Both now, while the hub is at this snapshot.
        if form.coding is not Coding.IDENTITY:
            return _compressed(self._making(snapshot, form._replace(coding=Coding.IDENTITY)), form.coding)
        delta = None if form.after is None else self._hub.delta(form.after, form.wanted)
        return asyncio.to_thread(_document, snapshot, form, delta)

    def _trim(self) -> None:
        sizes = {form: _size(making) for form, making in self._made.items()}
        total = sum(sizes.values())
        for form in list(self._made)[:-1]:
            if len(self._made) <= _MOST and total <= _MOST_BYTES:
                return
            if self._made[form].done():
                del self._made[form]
                total -= sizes[form]


def by_id(flags: Iterable[Flag]) -> list[Flag]:
    """Return the flags in the order of their ids."""
    return sorted(flags, key=lambda flag: flag.id)


async def _compressed(plain: asyncio.Task[bytes], coding: Coding) -> bytes:
    return await asyncio.to_thread(encoded, await asyncio.shield(plain), coding)


def _size(making: asyncio.Task[bytes]) -> int:
    return len(making.result()) if making.done() and not making.cancelled() and making.exception() is None else 0


def _document(snapshot: Snapshot, form: Form, delta: Delta | None) -> bytes:
    packed = form.media is Media.MSGPACK
    if delta is not None:
        return encode_delta(delta, packed=packed)
    whole = form.after is not None
    if form.wanted is EVERYTHING:
        # By id, so that servers that give it the same tag give the same bytes.
        flags = {flag.key: flag for flag in by_id(snapshot.flags.values())}
        return encode_snapshot(replace(snapshot, flags=flags), form.view, packed=packed, instead_of_delta=whole)
    chosen = by_id(filter(form.wanted.passes_flag, snapshot.flags.values()))
    return encode_snapshot(snapshot, form.view, chosen, packed=packed, instead_of_delta=whole)
