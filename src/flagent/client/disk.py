"""The last good snapshot on disk, for a start without the server: written as a whole or not at all, and checked.

A file is a line with the hash of all that follows, a line of JSON that says what it is, and the snapshot,
compressed. For each server and key there are two of them: the newest, and the one before for when that is
damaged. Processes may share a folder: whoever is further wins, and nobody reads a file that is half written.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import secrets
import sys
import time
import zlib
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ..core.changes import Cursor, Snapshot
from ..errors import DecodeError
from ..wire.codec import View, decode_snapshot, encode_snapshot

_log = logging.getLogger("flagent.client")

_FORMAT = 1
_MAX_HEADER = 4096
_LEVEL = 1
#: Seconds by which a clock may have been set back without doubt about the age of what was saved before.
_SET_BACK = 1.0


class _Header(Struct):
    format: int
    root: str
    revision: str
    tag: str | None
    saved_at: float


_decode_header = msgspec.json.Decoder(_Header).decode


class Cached(NamedTuple):
    """A snapshot from disk.

    Attributes:
        snapshot: the flags.
        tag: the server's entity tag of it, or None.
        age: seconds since it was known to be current, by the clock of the day; infinite when that can't be told,
            because the clock was ahead then, or is behind now.
    """

    snapshot: Snapshot
    tag: str | None
    age: float


class DiskCache:
    """Keeps the snapshots of one server as one key sees it. All methods block.

    Args:
        folder: where; it is made when it is needed, for this user alone.
        root: URL of the server.
        owner: the key whose snapshots they are; it can't be read from what is stored.
        max_bytes: the largest snapshot that is read.
    """

    def __init__(self, folder: Path, root: str, owner: str, max_bytes: int) -> None:
        name = hashlib.sha256(f"{root}\n{owner}".encode()).hexdigest()[:32]
        self._folder = folder
        self._newest = folder / f"{name}.flags"
        self._previous = folder / f"{name}.flags.1"
        self._root = root
        self._max_bytes = max_bytes

    def load(self) -> Cached | None:
        """Return the newest snapshot that is whole, or None; what is damaged is passed over with a warning."""
        for path in (self._newest, self._previous):
            try:
                return self._read(path)
            except FileNotFoundError:
                continue
            except (OSError, DecodeError) as exc:
                _log.warning("%s can't be used: %s", path, exc)
        return None

    def save(self, snapshot: Snapshot, tag: str | None, age: float = 0.0) -> None:
        """Store a snapshot, which was current `age` seconds ago, unless a newer one of the same log is stored already.

        Raises:
            OSError: it can't be stored; what is there stays.
        """
        if self._is_known(snapshot.cursor):
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        document = encode_snapshot(snapshot, View.FULL) if snapshot.epoch else _without_cursor(snapshot)
        body = zlib.compress(document, _LEVEL)
        header = _Header(
            format=_FORMAT,
            root=self._root,
            revision=str(snapshot.cursor),
            tag=tag,
            saved_at=max(0.0, time.time() - age),
        )
        content = msgspec.json.encode(header) + b"\n" + body
        temporary = self._folder / f".{self._newest.name}.{os.getpid()}.{secrets.token_hex(4)}"
        try:
            _write(temporary, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            # Another process may be here at the same time: then it is its file that becomes the previous one.
            if self._newest.exists():
                _replace(self._newest, self._previous)
            temporary.replace(self._newest)
        finally:
            temporary.unlink(missing_ok=True)
        _sync(self._folder)

    def _is_known(self, cursor: Cursor) -> bool:
        try:
            header, _ = self._parts(self._newest)
        except (OSError, DecodeError):
            return False
        stored = Cursor.parse(header.revision)
        return stored is not None and stored.epoch == cursor.epoch and stored.revision >= cursor.revision

    def _read(self, path: Path) -> Cached:
        header, body = self._parts(path)
        snapshot = decode_snapshot(_decompressed(body, self._max_bytes))
        age = time.time() - header.saved_at
        return Cached(snapshot, header.tag, math.inf if age < -_SET_BACK else max(0.0, age))

    def _parts(self, path: Path) -> tuple[_Header, bytes]:
        """Return what a file says about itself, and the rest of it, when all of it is as it was written."""
        with path.open("rb") as file:
            content = file.read(self._max_bytes + _MAX_HEADER + 1)
        if len(content) > self._max_bytes + _MAX_HEADER:
            raise DecodeError("it is larger than max_snapshot_bytes")
        checked, _, rest = content.partition(b"\n")
        if hashlib.sha256(rest).hexdigest().encode() != checked:
            raise DecodeError("it is damaged, or of another version")
        line, _, body = rest.partition(b"\n")
        try:
            header = _decode_header(line)
        except ValueError as exc:
            raise DecodeError(f"its beginning can't be read: {exc}") from exc
        if header.format != _FORMAT:
            raise DecodeError(f"it has format {header.format}, not {_FORMAT}")
        if header.root != self._root:
            raise DecodeError(f"it is of {header.root[:200]!r}")
        return header, body


def default_folder() -> Path:
    """Return where snapshots are kept: `FLAGENT_STORAGE_DIR`, or a folder of the user's caches."""
    chosen = os.environ.get("FLAGENT_STORAGE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "flagent" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "flagent"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flagent"


def _decompressed(body: bytes, limit: int) -> bytes:
    decompressor = zlib.decompressobj()
    try:
        document = decompressor.decompress(body, limit + 1)
    except zlib.error as exc:
        raise DecodeError(f"it is damaged: {exc}") from exc
    if len(document) > limit or not decompressor.eof:
        raise DecodeError("it is larger than max_snapshot_bytes")
    return document


def _without_cursor(snapshot: Snapshot) -> bytes:
    # A plain Flagent server's has none.
    return msgspec.json.encode({"flags": list(snapshot.flags.values())})


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _replace(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except FileNotFoundError:
        _log.debug("%s was replaced by another process", source)


def _sync(folder: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
