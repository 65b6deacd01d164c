"""Edits of a flag's variants, and what they mean for the distributions that name them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ..errors import InvalidFlag, NotFound
from . import validation
from .changes import EventType
from .edits import Edit
from .ids import Allocator
from .model import Distribution, Flag, Segment, Variant


def add_variant(flag: Flag, ids: Allocator, *, key: str, attachment: dict[str, Any] | None = None) -> Edit:
    """Add an outcome to the flag; no segment gives it to anybody yet."""
    _check(flag, key, attachment)
    variant = Variant(ids.next("variant"), key, flag.id, attachment)
    return _edit(replace(flag, variants=(*flag.variants, variant)), variant.id)


def update_variant(flag: Flag, variant_id: int, *, key: str, attachment: dict[str, Any] | None = None) -> Edit:
    """Set key and attachment of a variant; a new key is copied into the distributions that name it."""
    old = find_variant(flag, variant_id)
    _check(flag, key, attachment, variant_id)
    updated = replace(old, key=key, attachment=attachment)
    variants = tuple(updated if variant is old else variant for variant in flag.variants)
    segments = tuple(_renamed(segment, variant_id, key) for segment in flag.segments)
    return _edit(replace(flag, variants=variants, segments=segments), variant_id)


def delete_variant(flag: Flag, variant_id: int) -> Edit:
    """Delete a variant that no segment gives to anybody; distributions of 0 percent go with it."""
    gone = find_variant(flag, variant_id)
    for segment in flag.segments:
        if any(share.variant_id == variant_id and share.percent for share in segment.distributions):
            raise InvalidFlag(f"variant {gone.key!r}: a distribution of segment {segment.id} still gives it a percent")
    segments = tuple(
        replace(
            segment, distributions=tuple(share for share in segment.distributions if share.variant_id != variant_id)
        )
        for segment in flag.segments
    )
    variants = tuple(variant for variant in flag.variants if variant is not gone)
    return _edit(replace(flag, variants=variants, segments=segments), variant_id)


def find_variant(flag: Flag, variant_id: int) -> Variant:
    """Return the flag's variant of that id.

    Raises:
        NotFound: the flag has none.
    """
    variant = flag.variant(variant_id)
    if variant is None:
        raise NotFound(f"flag {flag.key!r} has no variant {variant_id}")
    return variant


def _check(flag: Flag, key: str, attachment: dict[str, Any] | None, variant_id: int = 0) -> None:
    validation.check_key(key)
    validation.check_attachment(attachment)
    owner = next((variant for variant in flag.variants if variant.key == key), None)
    if owner is not None and owner.id != variant_id:
        raise InvalidFlag(f"key: {key!r} is the key of variant {owner.id} already")


def _renamed(segment: Segment, variant_id: int, key: str) -> Segment:
    def named(share: Distribution) -> Distribution:
        return replace(share, variant_key=key) if share.variant_id == variant_id else share

    return replace(segment, distributions=tuple(map(named, segment.distributions)))


def _edit(flag: Flag, variant_id: int) -> Edit:
    return Edit(flag, EventType.VARIANT_UPDATED, {"variantID": str(variant_id)})
