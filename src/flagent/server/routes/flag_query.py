"""The query of `GET /flags`: which flags, and which page of them."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace
from starlette.requests import Request

from ...core.model import Flag
from .bodies import count, switch


class FlagQuery(Struct, frozen=True):
    """Filters that must all hold; None, or no tags, lets everything through.

    Attributes:
        tags: the flag has any of these; `None` when the query has none.
        preload: whether segments and variants are shown.
        deleted: whether only deleted flags are shown, instead of none of them.
    """

    key: str | None = None
    enabled: bool | None = None
    description: str | None = None
    description_like: str | None = None
    tags: frozenset[str] | None = None
    preload: bool = False
    deleted: bool = False
    limit: int | None = None
    offset: int = 0

    @classmethod
    def of(cls, request: Request) -> FlagQuery:
        """Read the query of a request, as forgiving as Flagent."""
        query = request.query_params
        tags = frozenset(filter(None, (tag.strip() for tag in query.get("tags", "").split(","))))
        return cls(
            key=query.get("key"),
            enabled=switch(request, "enabled"),
            description=query.get("description"),
            description_like=query.get("descriptionLike"),
            tags=tags or None,
            preload=switch(request, "preload") or False,
            deleted=switch(request, "deleted") or switch(request, "includeArchived") or False,
            limit=count(request, "limit"),
            offset=count(request, "offset") or 0,
        )

    def page(self, flags: Iterable[Flag]) -> tuple[list[Flag], int]:
        """Return the flags to show, by id descending, and how many match without limit and offset."""
        found = sorted(filter(self._matches, flags), key=lambda flag: -flag.id)
        end = None if self.limit is None else self.offset + self.limit
        shown = found[self.offset : end]
        if not self.preload:
            shown = [replace(flag, segments=(), variants=()) for flag in shown]
        return shown, len(found)

    def _matches(self, flag: Flag) -> bool:
        part = self.description_like
        return (
            (self.key is None or flag.key == self.key)
            and (self.enabled is None or flag.enabled == self.enabled)
            and (self.description is None or flag.description == self.description)
            and (part is None or part.casefold() in flag.description.casefold())
            and (self.tags is None or any(tag.value in self.tags for tag in flag.tags))
        )
