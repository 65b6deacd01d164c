"""Whole documents: the GitOps export, the import of it or of openflagr's file, and the SQLite export."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import BinaryIO

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ...core.documents import Document, export_document, read_document
from ...core.edits import Edit
from ...core.import_plan import ImportPlan, plan_import
from ...core.openflagr import is_openflagr, read_openflagr
from ...errors import DecodeError, InvalidFlag
from ...wire.document_text import format_json, format_yaml, parse_json, parse_yaml
from ..editor import State
from ..sqlite_export import sqlite_export
from . import answers
from .bodies import decoded, switch
from .writing import actor, services

_YAML = ("yaml", "yml")
#: Bytes of a file that are sent at a time.
_CHUNK = 256 * 1024


class ImportBody(Struct):
    """Body of `POST /import`."""

    format: str | None = None
    content: str | None = None


class FlagChange(Struct):
    """What an import does to a flag; `members` are those that become others."""

    key: str
    type: str
    members: tuple[str, ...] = ()


class ImportResult(Struct, omit_defaults=True):
    """Answer of `POST /import`."""

    created: int
    updated: int
    errors: tuple[str, ...]
    changes: tuple[FlagChange, ...] | None = None


async def export_gitops(request: Request) -> Response:
    """Answer with all flags as a document that `POST /import` takes."""
    wanted = request.query_params.get("format", "json").lower()
    if wanted not in ("json", *_YAML):
        raise InvalidFlag(f"format: {wanted[:40]!r} is neither 'json' nor 'yaml'")
    flags = services(request).hub.snapshot.flags.values()
    # On a thread: with thousands of flags, writing YAML takes seconds.
    if wanted == "json":
        return answers.json_bytes(await asyncio.to_thread(lambda: format_json(export_document(flags))))
    body = await asyncio.to_thread(lambda: format_yaml(export_document(flags)))
    return Response(body, media_type="text/yaml")


async def import_flags(request: Request) -> Response:
    """Create and update flags as a document states them, all or none; with `dryRun=true` only say what would happen."""
    body = await decoded(request, ImportBody)
    content = body.content or ""
    if not content.strip():
        raise InvalidFlag("content is required")
    dry_run = switch(request, "dryRun") or False
    document = await asyncio.to_thread(_read, body.format or "json", content)
    plan = ImportPlan(errors=document.errors) if document.errors else await _import(request, document, dry_run)
    return answers.json(_result(plan, dry_run))


async def _import(request: Request, document: Document, dry_run: bool) -> ImportPlan:
    source, who = services(request), actor(request)
    deleted_keys = frozenset(flag.key for flag in await source.storage.deleted_flags())
    tags = await source.storage.tags()
    plan = ImportPlan()

    def decide(state: State) -> list[Edit]:
        nonlocal plan
        plan = plan_import(document, state.snapshot, state.ids, deleted_keys=deleted_keys, tags=tags, actor=who)
        return [] if dry_run else list(plan.edits)

    await source.editor.edit(who, decide)
    return plan


def _read(form: str, content: str) -> Document:
    known = form.lower()
    if known not in ("json", *_YAML):
        return Document(errors=(f"Unsupported format: {form[:40]}. Use yaml or json.",))
    try:
        value = parse_json(content) if known == "json" else parse_yaml(content)
    except DecodeError as exc:
        return Document(errors=(f"Parse error: {exc}",))
    return read_openflagr(value) if is_openflagr(value) else read_document(value)


def _result(plan: ImportPlan, dry_run: bool) -> ImportResult:
    changes = (
        *(FlagChange(key, "flag.created") for key in plan.created),
        *(FlagChange(key, "flag.updated", members) for key, members in plan.updated.items()),
    )
    return ImportResult(len(plan.created), len(plan.updated), plan.errors, changes if dry_run else None)


async def export_sqlite(request: Request) -> Response:
    """Answer with everything in a SQLite file, the history included unless `exclude_snapshots=true`."""
    source = services(request)
    snapshots = not switch(request, "exclude_snapshots")
    file = await sqlite_export(source.storage, source.hub.snapshot.revision, snapshots=snapshots)
    size = await asyncio.to_thread(file.seek, 0, os.SEEK_END)
    await asyncio.to_thread(file.seek, 0)
    headers = {
        "Content-Disposition": 'attachment; filename="flagent_export.sqlite"',
        "Content-Length": str(size),
        "Cache-Control": "no-store",
    }
    return StreamingResponse(_chunks(file), headers=headers, media_type="application/octet-stream")


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
    finally:
        file.close()


routes = [
    Route("/api/v1/export/gitops", export_gitops, methods=["GET"]),
    Route("/api/v1/export/sqlite", export_sqlite, methods=["GET"]),
    Route("/api/v1/import", import_flags, methods=["POST"]),
]
