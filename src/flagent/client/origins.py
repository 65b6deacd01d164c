"""Getting a snapshot from where it is: a server, a file, or the program itself."""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from ..core.changes import Snapshot
from ..core.evaluation import Ruleset
from ..errors import ConfigurationError, DecodeError, HTTPStatusError, NotReady, Refused, TransportError
from ..wire.backoff import SLOW_STATUSES
from ..wire.codec import SnapshotReader
from . import plain
from .address import EXPORT_PATH
from .answers import failure
from .config import OfflineConfig
from .daemons import in_daemon_thread
from .selection import Filter
from .targets import FlagFile, GivenFlags, Target
from .transport import Transport

_log = logging.getLogger("flagent.client")

#: Bodies of this size are decoded in another thread: it takes longer than an event loop may be blocked.
_LARGE = 1 << 16


class Fetched(NamedTuple):
    """A snapshot.

    Attributes:
        ruleset: the snapshot, which shares what is the same with the one that was held.
        tag: what names it at its origin, or None.
        age: seconds for which it may have been out of date when it was sent.
    """

    ruleset: Ruleset
    tag: str | None
    age: float = 0.0


class Origin(Protocol):
    """Has the newest snapshot."""

    async def fetch(self, held: Ruleset | None, tag: str | None, /) -> Fetched | None:
        """Return the newest snapshot.

        Args:
            held: what is held so far.
            tag: what named it; None to have the snapshot in any case.

        Returns:
            The snapshot; None when `tag` names it.

        Raises:
            FlagentError: there is none, for this reason.
        """


def origin_of(target: Target, transport: Transport | None, config: OfflineConfig) -> Origin:
    """Return what fetches snapshots from there."""
    if isinstance(target, FlagFile):
        return _FileOrigin(Path(target.path), config)
    if isinstance(target, GivenFlags):
        return _GivenOrigin(target.snapshot, config)
    if transport is None:
        raise ConfigurationError(f"{target.name}: a server needs a transport")
    return _ServerOrigin(transport, config)


class _ServerOrigin:
    def __init__(self, transport: Transport, config: OfflineConfig) -> None:
        self._transport = transport
        self._config = config
        self._reader = SnapshotReader()
        self._empty = plain.EmptyExports()
        self._query = (("view", "full"), *(() if config.filter is None else config.filter.query))

    async def fetch(self, held: Ruleset | None, tag: str | None) -> Fetched | None:
        """Ask the server, conditionally where that is enough."""
        answer = await self._transport.request(
            "GET",
            EXPORT_PATH,
            query=self._query,
            # Polls are minutes apart: an idle connection between them would be of no use.
            headers={"Connection": "close"} | ({} if tag is None else {"If-None-Match": tag}),
            timeout=self._config.request_timeout,
            max_bytes=self._config.max_snapshot_bytes,
        )
        if answer.status == 304 and tag is not None:
            return None
        if answer.status != 200:
            kind = Refused if answer.status in SLOW_STATUSES else HTTPStatusError
            raise failure(f"GET {self._transport.settings.root}{EXPORT_PATH}", answer, kind)
        load = partial(_loaded, self._reader, answer.body, held, self._config.filter)
        if len(answer.body) < _LARGE:
            ruleset = load()
        else:
            ruleset = await in_daemon_thread("flagent snapshot", load)
        snapshot = ruleset.snapshot
        _log.debug("snapshot %s, %d bytes", snapshot.cursor, len(answer.body))
        self._check_emptiness(snapshot, None if held is None else held.snapshot)
        age = plain.CACHE_AGE if plain.is_plain(snapshot) else 0.0
        return Fetched(ruleset, answer.headers.get("etag"), age)

    def _check_emptiness(self, snapshot: Snapshot, held: Snapshot | None) -> None:
        """See that flags vanish because somebody deleted them, and not because a server has lost its memory."""
        if not self._empty.believed(snapshot, held, time.monotonic()):
            raise NotReady(
                f"{self._transport.settings.root} says that there are no flags any more, as a Flagent server does that "
                "has just started; it is asked again"
            )
        if held is not None and held.flags and _is_unwritten(snapshot) and snapshot.epoch != held.epoch:
            raise TransportError(
                f"{self._transport.settings.root} has a new database, to which nothing was ever written, so the "
                f"{len(held.flags)} flags of {held.cursor} are kept; any change of a flag there makes it count",
                kind="protocol",
            )


class _FileOrigin:
    def __init__(self, path: Path, config: OfflineConfig) -> None:
        self._path = path
        self._config = config

    async def fetch(self, held: Ruleset | None, tag: str | None) -> Fetched | None:
        """Look whether the file is another one, and read it then."""
        return await in_daemon_thread("flagent file", partial(self._read, held, tag))

    def _read(self, held: Ruleset | None, tag: str | None) -> Fetched | None:
        try:
            with self._path.open("rb") as file:
                state = _state_of(file.fileno())
                if state == tag:
                    return None
                body = file.read(self._config.max_snapshot_bytes + 1)
        except OSError as exc:
            raise TransportError(f"flags of {self._path}: {exc.strerror or exc}", kind="file") from exc
        if len(body) > self._config.max_snapshot_bytes:
            raise DecodeError(f"{self._path} has more than {self._config.max_snapshot_bytes} bytes")
        # Only programs that have flags of their own need it, here and below.
        from .stated import snapshot_in

        return Fetched(_following(_part(snapshot_in(self._path, body), self._config.filter), held), state)


class _GivenOrigin:
    def __init__(self, snapshot: Snapshot, config: OfflineConfig) -> None:
        from .stated import compiled

        self._ruleset = compiled(snapshot, config.filter)

    async def fetch(self, _held: Ruleset | None, _tag: str | None) -> Fetched | None:
        """Return what was given."""
        return Fetched(self._ruleset, None)


def _is_unwritten(snapshot: Snapshot) -> bool:
    return not plain.is_plain(snapshot) and snapshot.revision == 0


def _loaded(reader: SnapshotReader, body: bytes, held: Ruleset | None, wanted: Filter | None) -> Ruleset:
    return _following(_part(reader.read(body), wanted), held)


def _part(snapshot: Snapshot, wanted: Filter | None) -> Snapshot:
    return snapshot if wanted is None else wanted.part(snapshot)


def _following(snapshot: Snapshot, held: Ruleset | None) -> Ruleset:
    return Ruleset.compile(snapshot) if held is None else held.replaced(snapshot)


def _state_of(descriptor: int) -> str:
    found = os.fstat(descriptor)
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"
