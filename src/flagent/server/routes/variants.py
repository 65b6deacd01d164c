"""Variants of a flag."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...core import variant_edits as edits
from . import answers
from .bodies import VariantBody, decoded, path_id
from .writing import edit_flag, find_flag, services


async def list_variants(request: Request) -> Response:
    """Answer with the variants, by id."""
    return answers.json(find_flag(services(request).hub.snapshot, path_id(request, "flagID")).variants)


async def create_variant(request: Request) -> Response:
    """Add a variant."""
    body = await decoded(request, VariantBody)
    flag = await edit_flag(
        request, lambda flag, state: edits.add_variant(flag, state.ids, key=body.key, attachment=body.attachment)
    )
    return answers.json(flag.variants[-1])


async def update_variant(request: Request) -> Response:
    """Change a variant; without an attachment in the body it has none afterwards."""
    variant_id, body = path_id(request, "variantID"), await decoded(request, VariantBody)
    flag = await edit_flag(
        request, lambda flag, _: edits.update_variant(flag, variant_id, key=body.key, attachment=body.attachment)
    )
    return answers.json(edits.find_variant(flag, variant_id))


async def delete_variant(request: Request) -> Response:
    """Delete a variant that no distribution gives to anybody."""
    variant_id = path_id(request, "variantID")
    await edit_flag(request, lambda flag, _: edits.delete_variant(flag, variant_id))
    return answers.empty()


_VARIANTS = "/api/v1/flags/{flagID}/variants"
_VARIANT = _VARIANTS + "/{variantID}"

routes = [
    Route(_VARIANTS, list_variants),
    Route(_VARIANTS, create_variant, methods=["POST"]),
    Route(_VARIANT, update_variant, methods=["PUT"]),
    Route(_VARIANT, delete_variant, methods=["DELETE"]),
]
