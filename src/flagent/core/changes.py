"""What can happen to a set of flags, and the set after it: changes, deltas, snapshots, cursors.

Everything here is a value. A snapshot is never altered: `after` returns the next one, sharing
all flags that did not change. The digest lets two holders of a snapshot find out with 64 bits
whether they hold the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ..errors import Diverged
from .layers import Layered
from .model import Flag, wire_name

try:
    # Where `hashlib` has it from, which loads all of OpenSSL for others: a tenth of what the SDK takes to import.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

_MASK = 2**64 - 1
_encode = msgspec.json.Encoder().encode


class EventType(StrEnum):
    """The six kinds of change, in Flagent's spelling."""

    FLAG_CREATED = "flag.created"
    FLAG_UPDATED = "flag.updated"
    FLAG_DELETED = "flag.deleted"
    FLAG_TOGGLED = "flag.toggled"
    SEGMENT_UPDATED = "segment.updated"
    VARIANT_UPDATED = "variant.updated"


#: Characters; our epochs have 16. 19 digits hold every 63-bit number.
_LONGEST_EPOCH, _MOST_DIGITS = 200, 19
_LONGEST_CURSOR = _LONGEST_EPOCH + 1 + _MOST_DIGITS


class Cursor(NamedTuple):
    """How far a reader has read: a revision of the log that `epoch` names. Text form: `<epoch>:<revision>`."""

    epoch: str
    revision: int

    @classmethod
    def parse(cls, text: str | None) -> Cursor | None:
        """Return the cursor that `text` spells, or None if it is none of ours."""
        return _parsed(text) if text and len(text) <= _LONGEST_CURSOR else None

    def __str__(self) -> str:
        return f"{self.epoch}:{self.revision}"


# A message is asked more than once where it sees the server.
@lru_cache(maxsize=8)
def _parsed(text: str) -> Cursor | None:
    epoch, _, revision = text.rpartition(":")
    # What no header can carry could never be sent back.
    if len(epoch) > _LONGEST_EPOCH or not (epoch.isascii() and epoch.isprintable()) or " " in epoch:
        return None
    if not epoch or not revision.isascii() or not revision.isdigit() or len(revision) > _MOST_DIGITS:
        return None
    return Cursor(epoch, int(revision))


class FlagRef(Struct, frozen=True, gc=False):
    """A flag that is not there (any more) under this key; `id` tells a renamed flag from a deleted one."""

    id: int
    key: str


class Change(Struct, frozen=True, rename=wire_name):
    """One entry of the log. It carries the whole flag, so a reader never has to ask back.

    Attributes:
        revision: its number in the log.
        type: what happened.
        flag_id: id of the flag.
        flag_key: key of the flag after the change.
        flag: the flag after the change; None when it was deleted.
        previous_key: the key before the change, when it was another.
        data: Flagent's extra members of the event, texts only (`{"enabled": "true"}`).
        timestamp: when, in milliseconds since 1970.
        digest: of the snapshot after the change.
        actor: who, for the history; None when not known.
    """

    revision: int
    type: EventType
    flag_id: int
    flag_key: str
    flag: Flag | None
    previous_key: str | None = None
    data: dict[str, str] = {}
    timestamp: int = 0
    digest: int = 0
    actor: str | None = None


class Delta(Struct, frozen=True):
    """The net change between two cursors: what to put in and what to take out.

    Attributes:
        origin: cursor that it starts from; it fits no other.
        cursor: cursor that it leads to.
        digest: of the snapshot after it, or None when it is not known (a filtered stream).
        flags: flags that are new or different, complete.
        deleted: keys that are gone, by deletion or renaming.
        clock: when the server of a stream made it, in milliseconds on the clock of its process; None elsewhere.
    """

    origin: Cursor
    cursor: Cursor
    digest: int | None
    flags: tuple[Flag, ...] = ()
    deleted: tuple[FlagRef, ...] = ()
    clock: int | None = None


def flag_hash(flag: Flag) -> int:
    """Return 64 bits that stand for the flag's key and full content."""
    return text_hash(_encode(flag))


def text_hash(text: bytes | msgspec.Raw) -> int:
    """Return the `flag_hash` of the flag that is encoded to exactly this text."""
    return int.from_bytes(blake2b(text, digest_size=8, person=b"flagent").digest(), "big")


def digest_text(digest: int) -> str:
    """Return the wire form of a digest: 16 hex digits."""
    return f"{digest:016x}"


class Snapshot(Struct, frozen=True):
    """All flags (without the deleted, with the disabled) at one revision.

    Attributes:
        epoch: name of the log.
        revision: number of the newest change in it; 0 for an empty log.
        flags: flags by key, in no particular order.
        keys: key of each flag by its id.
        digest: sum modulo 2^64 of `flag_hash` of every flag.
    """

    epoch: str
    revision: int
    flags: Mapping[str, Flag]
    keys: Mapping[int, str]
    digest: int

    @classmethod
    def of(cls, epoch: str, revision: int, flags: Iterable[Flag]) -> Snapshot:
        """Make the snapshot of these flags; their keys and ids must be distinct."""
        by_key = {flag.key: flag for flag in flags}
        digest = sum(map(flag_hash, by_key.values())) & _MASK
        return cls(epoch, revision, by_key, {flag.id: flag.key for flag in by_key.values()}, digest)

    @property
    def cursor(self) -> Cursor:
        """The cursor of a reader that holds this snapshot."""
        return Cursor(self.epoch, self.revision)

    def by_id(self, flag_id: int) -> Flag | None:
        """Return the flag of that id, or None."""
        key = self.keys.get(flag_id)
        return None if key is None else self.flags[key]

    def after(self, update: Change | Delta, *, verify: bool = True) -> Snapshot:
        """Return the snapshot that `update` leads to.

        The caller makes sure that the update follows this revision.

        Raises:
            Diverged: with `verify`, when the result's digest is not the one that the update announces.
        """
        if isinstance(update, Delta):
            revision, digest = update.cursor.revision, update.digest
        else:
            revision, digest = update.revision, update.digest
        flag = self._staying(update)
        following = self._with(revision, *_parts(update)) if flag is None else self._replacing(revision, flag)
        if verify and digest is not None and digest != following.digest:
            found, announced = digest_text(following.digest), digest_text(digest)
            raise Diverged(f"revision {revision}: digest is {found}, not {announced} as announced")
        return following

    def keys_in(self, update: Change | Delta) -> set[str]:
        """Return the keys under which a flag may be another one after the update."""
        staying = self._staying(update)
        if staying is not None:
            return {staying.key}
        puts, gone = _parts(update)
        keys = {flag.key for flag in puts}.union(ref.key for ref in gone)
        # A flag that was renamed has left the key that it had.
        ids = [flag.id for flag in puts] + [ref.id for ref in gone]
        return keys.union(key for key in map(self.keys.get, ids) if key is not None)

    def _staying(self, update: Change | Delta) -> Flag | None:
        """Return the one flag of the update, if it is here under the same key already: nearly always it is."""
        flag = None if isinstance(update, Delta) else update.flag
        return flag if flag is not None and self.keys.get(flag.id) == flag.key else None

    def _replacing(self, revision: int, flag: Flag) -> Snapshot:
        digest = self.digest + flag_hash(flag) - flag_hash(self.flags[flag.key])
        flags = Layered.of(self.flags).altered({flag.key: flag}, ())
        return Snapshot(self.epoch, revision, flags, self.keys, digest & _MASK)

    def _with(self, revision: int, puts: Collection[Flag], gone: Collection[FlagRef]) -> Snapshot:
        arriving = {flag.id: flag.key for flag in puts}
        # Everything that moves leaves first, so that flags may exchange their keys in one delta.
        leaving = [
            old for flag_id in {ref.id for ref in gone} | arriving.keys() if (old := self.by_id(flag_id)) is not None
        ]
        free = {old.key for old in leaving}
        flags: dict[str, Flag] = {}
        for flag in puts:
            there = flags.get(flag.key) or (None if flag.key in free else self.flags.get(flag.key))
            if there is not None:
                raise Diverged(f"revision {revision}: flag key {flag.key!r} is taken by flag {there.id}")
            flags[flag.key] = flag
        keys = self.keys
        if any(arriving.get(old.id) != old.key for old in leaving) or len(arriving) > len(leaving):
            keys = Layered.of(keys).altered(arriving, [old.id for old in leaving])
        digest = self.digest + sum(map(flag_hash, puts)) - sum(map(flag_hash, leaving))
        return Snapshot(self.epoch, revision, Layered.of(self.flags).altered(flags, free), keys, digest & _MASK)


def _parts(update: Change | Delta) -> tuple[tuple[Flag, ...], tuple[FlagRef, ...]]:
    """Return what an update puts in, and what it takes out."""
    if isinstance(update, Delta):
        return update.flags, update.deleted
    if update.flag is None:
        return (), (FlagRef(update.flag_id, update.flag_key),)
    return (update.flag,), ()
