"""Flags: list, read, create, change, switch, delete, restore, duplicate."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...core import edits
from ...core.edits import Edit, FlagPatch
from ...core.lint import lint
from ...core.model import Flag
from ...errors import InvalidFlag, NotFound
from ..editor import State
from . import answers
from .bodies import BatchEnabled, CreateFlag, DuplicateFlag, Enabled, decoded, path_id
from .flag_query import FlagQuery
from .writing import actor, check_match, edit_flag, find_flag, services, warn

#: Decides on a flag, which may be a deleted one.
_DecideAlsoDeleted = Callable[[Flag, bool], Sequence[Edit]]

#: Letters and digits of generated keys: Flagent's, without those that look alike.
_KEY_LETTERS = "123456789abcdefghijkmnopqrstuvwxyz"


async def list_flags(request: Request) -> Response:
    """Answer with the flags that match the query, the newest first, and how many there are in all."""
    query = FlagQuery.of(request)
    source = services(request)
    flags = await source.storage.deleted_flags() if query.deleted else source.hub.snapshot.flags.values()
    page, total = query.page(flags)
    return answers.flags(request, page, {"X-Total-Count": str(total)})


async def get_flag(request: Request) -> Response:
    """Answer with one flag."""
    return answers.flag(request, find_flag(services(request).hub.snapshot, path_id(request, "flagID")))


async def create_flag(request: Request) -> Response:
    """Make a flag."""
    body = await decoded(request, CreateFlag)
    key, who = _key(body.key), actor(request)

    def decide(state: State) -> list[Edit]:
        return [edits.create_flag(state.ids, key=key, description=body.description, template=body.template, actor=who)]

    (flag,) = await services(request).editor.edit(who, decide)
    warn(request, lint(flag))
    return answers.flag(request, flag)


async def duplicate_flag(request: Request) -> Response:
    """Make a disabled copy of a flag."""
    flag_id, body, who = path_id(request, "flagID"), await decoded(request, DuplicateFlag), actor(request)
    key = _key(body.key)

    def decide(state: State) -> list[Edit]:
        original = find_flag(state.snapshot, flag_id)
        check_match(request, original)
        return [edits.duplicate_flag(original, state.ids, key=key, description=body.description, actor=who)]

    (flag,) = await services(request).editor.edit(who, decide)
    warn(request, lint(flag))
    return answers.flag(request, flag)


async def update_flag(request: Request) -> Response:
    """Change members of a flag; those that the body leaves out stay."""
    patch = await decoded(request, FlagPatch)
    return answers.flag(request, await edit_flag(request, lambda flag, _: edits.update_flag(flag, patch)))


async def enable_flag(request: Request) -> Response:
    """Switch a flag on or off."""
    enabled = (await decoded(request, Enabled)).enabled
    return answers.flag(request, await edit_flag(request, lambda flag, _: edits.enable_flag(flag, enabled)))


async def enable_flags(request: Request) -> Response:
    """Switch several flags, all or none of them."""
    body = await decoded(request, BatchEnabled)
    if not body.ids:
        raise InvalidFlag("ids: must not be empty")
    # Once each, in the order of the request.
    ids = tuple(dict.fromkeys(body.ids))

    def decide(state: State) -> list[Edit]:
        return [edits.enable_flag(find_flag(state.snapshot, flag_id), body.enabled) for flag_id in ids]

    flags = await services(request).editor.edit(actor(request), decide)
    return answers.flags(request, list(flags))


async def delete_flag(request: Request) -> Response:
    """Delete a flag; it can be restored, and its key stays taken. Deleting it again changes nothing."""
    await _edit_also_deleted(request, lambda flag, deleted: [] if deleted else [edits.delete_flag(flag)])
    return answers.empty()


async def delete_flag_permanently(request: Request) -> Response:
    """Delete a flag, or a deleted one, for good; only the log still shows it."""
    await _edit_also_deleted(request, lambda flag, _: [edits.delete_flag(flag, permanent=True)])
    return answers.empty()


async def restore_flag(request: Request) -> Response:
    """Bring a deleted flag back; one that is not deleted stays as it is."""
    flags = await _edit_also_deleted(request, lambda flag, _: [edits.restore_flag(flag)])
    warn(request, lint(flags[0]))
    return answers.flag(request, flags[0])


async def list_entity_types(request: Request) -> Response:
    """Answer with every entity type that a flag ever had."""
    return answers.json(await services(request).storage.entity_types())


async def _edit_also_deleted(request: Request, edit: _DecideAlsoDeleted) -> Sequence[Flag]:
    flag_id = path_id(request, "flagID")

    def decide(state: State) -> Sequence[Edit]:
        flag = state.snapshot.by_id(flag_id) or state.deleted
        if flag is None:
            raise NotFound(f"flag {flag_id} not found")
        check_match(request, flag)
        return edit(flag, flag is state.deleted)

    return await services(request).editor.edit(actor(request), decide, deleted=flag_id)


def _key(wanted: str | None) -> str:
    if wanted is not None and wanted.strip():
        return wanted
    return "k" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(16))


_FLAG = "/api/v1/flags/{flagID}"


#: The paths without an id come first: they look like an id to the others.
async def lint_flag(request: Request) -> Response:
    """Answer with everything about a flag that may surprise, in words."""
    return answers.json(lint(find_flag(services(request).hub.snapshot, path_id(request, "flagID"))))


routes = [
    Route("/api/v1/flags/{flagID}/lint", lint_flag),
    Route("/api/v1/flags", list_flags),
    Route("/api/v1/flags", create_flag, methods=["POST"]),
    Route("/api/v1/flags/entity_types", list_entity_types),
    Route("/api/v1/flags/batch/enabled", enable_flags, methods=["PUT"]),
    Route(_FLAG, get_flag),
    Route(_FLAG, update_flag, methods=["PUT"]),
    Route(_FLAG, delete_flag, methods=["DELETE"]),
    Route(f"{_FLAG}/enabled", enable_flag, methods=["PUT"]),
    Route(f"{_FLAG}/restore", restore_flag, methods=["PUT"]),
    Route(f"{_FLAG}/permanent", delete_flag_permanently, methods=["DELETE"]),
    Route(f"{_FLAG}/duplicate", duplicate_flag, methods=["POST"]),
]
