"""Opening a stream for one entity: who it is about, and what its reader is told first."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ..core.changes import Cursor
from ..core.model import wire_name
from ..errors import fault_of
from ..wire.encodings import Encoding, Messages
from .asgi import Refusal
from .entity_answers import Answers, View
from .entity_reader import Entity, EntityReader
from .filters import Filter
from .gate import Access
from .hub import Bridge, Hub
from .keys import KeyKind
from .opening import Opening


class Watch(Struct, frozen=True, rename=wire_name):
    """What a request names.

    Attributes:
        entity_id: who; decides the bucket.
        entity_type: of what kind; for the record.
        entity_context: what constraints look at.
        flag_keys: flags by key; with `flag_ids` and `flag_tags` all conditions that are given have to be met.
        flag_ids: flags by id.
        flag_tags: flags by tag.
        after: cursor up to which the reader has the results of the same request.
    """

    entity_id: str | None = None
    entity_type: str | None = None
    entity_context: dict[str, Any] | None = None
    flag_keys: list[str] | None = None
    flag_ids: list[int] | None = msgspec.field(name="flagIDs", default=None)
    flag_tags: list[str] | None = None
    after: str | None = None

    @classmethod
    def of_query(cls, query: list[tuple[str, str]]) -> Watch:
        """Return what a query string names; `entityContext` is JSON.

        Raises:
            Refusal: 400, a member can't be read.
        """
        found: dict[str, list[str]] = {}
        for name, value in query:
            found.setdefault(name, []).append(value)

        def last(name: str) -> str | None:
            return found[name][-1] if name in found else None

        context = last("entityContext")
        try:
            ids = [int(text) for text in found.get("flagID", ())]
            decoded = None if context is None else msgspec.json.decode(context, type=dict[str, Any])
        except (ValueError, RecursionError) as exc:
            raise Refusal(400, f"query: flagID or entityContext can't be read: {fault_of(exc)}") from exc
        return cls(
            entity_id=last("entityID"),
            entity_type=last("entityType"),
            entity_context=decoded,
            flag_keys=found.get("flagKey"),
            flag_ids=ids,
            flag_tags=found.get("tag"),
            after=last("after"),
        )

    @property
    def wanted(self) -> Filter:
        """The flags that it is about."""
        return Filter.listed(self.flag_keys or (), self.flag_ids or (), self.flag_tags or ())


class Watching:
    """Makes the readers of streams for one entity."""

    def __init__(self, hub: Hub, opening: Opening) -> None:
        self._hub = hub
        self._opening = opening
        self._answers = Answers(hub)

    def entity(self, watch: Watch, access: Access, encoding: Encoding) -> tuple[EntityReader, Messages]:
        """Return the reader of a stream, and what it is told first.

        Raises:
            Refusal: 400, the request names no entity.
        """
        if not watch.entity_id or watch.entity_id.isspace():
            raise Refusal(400, "entityID: is needed, and must not be empty")
        cursor = Cursor.parse(watch.after) if watch.after else None
        resume = "none"
        if cursor is not None and not self._hub.is_ahead(cursor) and self._hub.frames_after(cursor) is None:
            # What changed since is not known any more, so the reader gets all results.
            resume, cursor = "resync", None
        elif cursor is not None:
            resume = "current" if self._hub.bridge(cursor) is Bridge.CURRENT else "changes"
        reader = EntityReader(
            self._hub,
            self._answers,
            Entity(watch.entity_id, watch.entity_context or {}),
            View(watch.wanted, access.kind is KeyKind.CLIENT),
            cursor=cursor,
            encoding=encoding,
        )
        return reader, self._opening.greeting(encoding, resume, with_digest=False)
