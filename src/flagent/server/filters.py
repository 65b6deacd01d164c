"""Which flags a reader wants: conditions on key, id and tag."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct

from ..core.model import Flag

#: No flag has it.
_NO_ID = -1


class Filter(Struct, frozen=True):
    """Conditions on flags; None is no condition of that kind, an empty set one that nothing meets.

    Attributes:
        keys: keys, one of which the flag has.
        ids: ids, one of which the flag has.
        tags: texts of tags, one of which the flag has.
        any_kind: whether one kind of condition is enough. Streams want every kind that is given met,
            the export any: so does Flagent.
    """

    keys: frozenset[str] | None = None
    ids: frozenset[int] | None = None
    tags: frozenset[str] | None = None
    any_kind: bool = False

    @classmethod
    def of(cls, query: Iterable[tuple[str, str]], *, any_kind: bool = False) -> Filter:
        """Return the conditions that a query string states with `flagKey`, `flagID` and `tag`, each repeatable."""
        found: dict[str, list[str]] = {"flagKey": [], "flagID": [], "tag": []}
        for name, value in query:
            if name in found:
                found[name].append(value)
        keys, ids, tags = found.values()
        # An id that is no number is dropped, but the condition stays: `flagID=abc` alone lets nothing through.
        numbers = [int(text) if text.isascii() and text.isdigit() and len(text) < 20 else _NO_ID for text in ids]
        return cls.listed(keys, numbers, tags, any_kind=any_kind)

    @classmethod
    def listed(
        cls, keys: Collection[str], ids: Collection[int], tags: Collection[str], *, any_kind: bool = False
    ) -> Filter:
        """Return the conditions that lists state; an empty list is no condition."""
        if not keys and not ids and not tags:
            return EVERYTHING
        return cls(
            keys=frozenset(keys) if keys else None,
            ids=frozenset(ids) if ids else None,
            tags=frozenset(tags) if tags else None,
            any_kind=any_kind,
        )

    def passes(self, flag_id: int, keys: Iterable[str], tags: Collection[str]) -> bool:
        """Whether a flag passes that has this id, any of these keys, and any of these tags."""
        if self is EVERYTHING:
            return True
        met = (
            None if self.ids is None else flag_id in self.ids,
            None if self.keys is None else not self.keys.isdisjoint(keys),
            None if self.tags is None else not self.tags.isdisjoint(tags),
        )
        return True in met if self.any_kind else False not in met

    def passes_flag(self, flag: Flag) -> bool:
        """Whether the flag passes, as it is."""
        return self.passes(flag.id, (flag.key,), tag_values(flag))


EVERYTHING = Filter()


def tag_values(flag: Flag) -> tuple[str, ...]:
    """Return the texts of the flag's tags."""
    return tuple(tag.value for tag in flag.tags)
