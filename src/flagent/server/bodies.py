"""The export's bodies: encoded and compressed once per revision and view, off the event loop, for all requests."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from ..core.changes import Snapshot
from ..core.model import Flag
from ..wire.codec import View, encode_snapshot

#: Half the time of zlib's default, for a body that is a few percent larger.
_LEVEL = 4
#: Tells zlib to write a gzip header.
_GZIP = 16 + zlib.MAX_WBITS


class Form(NamedTuple):
    """How a snapshot is written."""

    view: View
    gzip: bool


class Bodies:
    """The bodies of the newest snapshot that was asked for."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._made: dict[Form, asyncio.Task[bytes]] = {}

    async def body(self, snapshot: Snapshot, form: Form) -> bytes:
        """Return the whole snapshot in this form; whoever asks while it is being made waits for the same one."""
        if snapshot is not self._snapshot:
            self._snapshot, self._made = snapshot, {}
        making = self._made.get(form)
        if making is None or (making.done() and (making.cancelled() or making.exception() is not None)):
            making = self._made[form] = asyncio.create_task(self._make(snapshot, form))
        # Shielded: a client that hangs up must not take the body from the others.
        return await asyncio.shield(making)

    async def _make(self, snapshot: Snapshot, form: Form) -> bytes:
        if not form.gzip:
            return await asyncio.to_thread(encode, snapshot, form.view)
        return await asyncio.to_thread(compress, await self.body(snapshot, form._replace(gzip=False)))


def encode(snapshot: Snapshot, view: View) -> bytes:
    """Return the snapshot by flag id, so that servers that give it the same tag give the same bytes."""
    flags = {flag.key: flag for flag in by_id(snapshot.flags.values())}
    return encode_snapshot(replace(snapshot, flags=flags), view)


def by_id(flags: Iterable[Flag]) -> list[Flag]:
    """Return the flags in the order of their ids."""
    return sorted(flags, key=lambda flag: flag.id)


def compress(body: bytes) -> bytes:
    """Return the body as gzip; always the same bytes, since it carries no time."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return compressor.compress(body) + compressor.flush()
