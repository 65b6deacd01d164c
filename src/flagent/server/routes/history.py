"""The history of flags, and the one number that grows with every change."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...core.changes import Change
from ...core.edits import time_text
from ...core.model import wire_name
from ...wire.codec import View, encode_flag
from . import answers
from .bodies import count, path_id
from .writing import find_flag, services

#: Most entries of one answer, also without a limit: each of them is a whole flag.
MAX_ENTRIES = 1000


class FlagSnapshot(Struct, rename=wire_name):
    """An entry of the history: the complete flag as it was; the id is the revision that made it so."""

    id: int
    updated_by: str | None
    flag: msgspec.Raw
    updated_at: str


async def list_history(request: Request) -> Response:
    """Answer with the states of a flag, the newest first unless `sort=ASC`."""
    source = services(request)
    flag = find_flag(source.hub.snapshot, path_id(request, "flagID"))
    view, limit = answers.view(request), count(request, "limit")
    changes = await source.storage.history(
        flag.id,
        newest_first=request.query_params.get("sort", "").upper() != "ASC",
        limit=MAX_ENTRIES if limit is None else min(limit, MAX_ENTRIES),
        offset=count(request, "offset") or 0,
    )
    # Megabytes, possibly: not on the event loop.
    return answers.json_bytes(await asyncio.to_thread(_encoded, changes, view))


async def max_id(request: Request) -> Response:
    """Answer with the newest revision."""
    return answers.json({"maxID": services(request).hub.snapshot.revision})


def _encoded(changes: list[Change], view: View) -> bytes:
    entries = [
        FlagSnapshot(
            id=change.revision,
            updated_by=change.actor,
            flag=msgspec.Raw(encode_flag(change.flag, view)),
            updated_at=time_text(change.timestamp),
        )
        for change in changes
        if change.flag is not None
    ]
    return msgspec.json.encode(entries)


routes = [
    Route("/api/v1/flags/snapshots/max_id", max_id),
    Route("/api/v1/flags/{flagID}/snapshots", list_history),
]
