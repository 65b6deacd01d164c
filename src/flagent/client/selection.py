"""Which of a server's flags a manager holds: a part of them, with a snapshot, a stream and a file of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from .frozen import Frozen

if TYPE_CHECKING:
    from ..core.changes import Change, Delta, Snapshot
    from ..core.model import Flag


class Filter(Frozen):
    """Flags by their keys, by their ids, or by their tags; one of the three.

    A flag that comes to meet the filter arrives with the change that made it do so, and one that ceases to is
    gone with that change: it was renamed, or has lost its tag.

    Attributes:
        flag_keys: flags with one of these keys.
        flag_ids: flags with one of these ids.
        tags: flags with one of these tags.

    Raises:
        ConfigurationError: there is no condition, more than one kind of it, or something else than texts and ids.
    """

    flag_keys: Iterable[str] = ()
    flag_ids: Iterable[int] = ()
    tags: Iterable[str] = ()

    def __post_init__(self) -> None:
        for name, kind in (("flag_keys", str), ("flag_ids", int), ("tags", str)):
            object.__setattr__(self, name, _listed(name, getattr(self, name), kind))
        given = [name for name in ("flag_keys", "flag_ids", "tags") if getattr(self, name)]
        if len(given) != 1:
            # A server's export takes flags that meet any of them, its stream those that meet all.
            found = " and ".join(given) or "nothing"
            raise ConfigurationError(f"filter: one of flag_keys, flag_ids and tags is needed, not {found}")

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """What to ask a server for."""
        keys = (("flagKey", key) for key in self.flag_keys)
        ids = (("flagID", str(flag_id)) for flag_id in self.flag_ids)
        return (*keys, *ids, *(("tag", tag) for tag in self.tags))

    @property
    def name(self) -> str:
        """A text that tells this filter from others, whatever the order of its values."""
        # Loaded with the engine, here and below: whoever states what is wanted does without it.
        from msgspec.json import encode

        return encode(sorted(set(self.query))).decode()

    def passes(self, flag: Flag) -> bool:
        """Return whether the flag is one of those."""
        return (
            flag.key in tuple(self.flag_keys)
            or flag.id in tuple(self.flag_ids)
            or any(tag.value in tuple(self.tags) for tag in flag.tags)
        )

    def part(self, snapshot: Snapshot) -> Snapshot:
        """Return the part of a snapshot that passes; a server that knows no filters sends all of it."""
        from ..core.changes import Snapshot

        flags = [flag for flag in snapshot.flags.values() if self.passes(flag)]
        if len(flags) == len(snapshot.flags):
            return snapshot
        return Snapshot.of(snapshot.epoch, snapshot.revision, flags)

    def narrowed(self, update: Change | Delta) -> Change | Delta:
        """Return an update in which flags that do not pass (any more) are deleted."""
        from msgspec.structs import replace

        from ..core.changes import Change, FlagRef

        if isinstance(update, Change):
            return update if update.flag is None or self.passes(update.flag) else replace(update, flag=None)
        leaving = [flag for flag in update.flags if not self.passes(flag)]
        if not leaving:
            return update
        staying = tuple(flag for flag in update.flags if self.passes(flag))
        gone = (*update.deleted, *(FlagRef(flag.id, flag.key) for flag in leaving))
        return replace(update, flags=staying, deleted=gone, digest=None)


def _listed(name: str, values: Any, kind: type) -> tuple[Any, ...]:
    # A text is a sequence of texts too, of one letter each.
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ConfigurationError(f"filter: {name} must be a list, not {values!r}")
    listed = tuple(values)
    for value in listed:
        if not isinstance(value, kind) or isinstance(value, bool) or not value:
            raise ConfigurationError(f"filter: {name} has {value!r}, which is no {'id' if kind is int else 'text'}")
    return listed
