"""Tags: those that exist, and those of a flag."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...core import edits
from . import answers
from .bodies import TagBody, count, decoded, path_id
from .writing import edit_flag, find_flag, services


async def list_tags(request: Request) -> Response:
    """Answer with all tags, by id."""
    tags = await services(request).storage.tags(
        value_like=request.query_params.get("value_like"),
        limit=count(request, "limit"),
        offset=count(request, "offset") or 0,
    )
    return answers.json(tags)


async def list_flag_tags(request: Request) -> Response:
    """Answer with the tags of a flag, by id."""
    return answers.json(find_flag(services(request).hub.snapshot, path_id(request, "flagID")).tags)


async def attach_tag(request: Request) -> Response:
    """Attach a tag to a flag, and make it if there is none of this value."""
    value = (await decoded(request, TagBody)).value
    flag = await edit_flag(request, lambda flag, state: edits.attach_tag(flag, value, state.tag, state.ids), tag=value)
    return answers.json(next(tag for tag in flag.tags if tag.value == value))


async def detach_tag(request: Request) -> Response:
    """Take a tag from a flag; fine also when it is not attached."""
    tag_id = path_id(request, "tagID")
    await edit_flag(request, lambda flag, _: edits.detach_tag(flag, tag_id))
    return answers.empty()


routes = [
    Route("/api/v1/tags", list_tags),
    Route("/api/v1/flags/{flagID}/tags", list_flag_tags),
    Route("/api/v1/flags/{flagID}/tags", attach_tag, methods=["POST"]),
    Route("/api/v1/flags/{flagID}/tags/{tagID}", detach_tag, methods=["DELETE"]),
]
