"""The calls of the REST API that list, make and change flags, and their tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .address import API
from .call import FULL, Call, flag_path, json_body, nothing, replies, with_query

if TYPE_CHECKING:
    from ..core.model import Flag, Tag


def list_flags(
    *,
    limit: int | None = None,
    offset: int | None = None,
    enabled: bool | None = None,
    key: str | None = None,
    description_like: str | None = None,
    tags: Iterable[str] | None = None,
    preload: bool = True,
    deleted: bool = False,
) -> Call[list[Flag]]:
    """Return flags, the newest first.

    Args:
        limit: how many at most; None for all.
        offset: how many to skip.
        enabled: only those that are on, or off.
        key: only the one with this key.
        description_like: only those with this text in the description, in any case.
        tags: only those that have one of these tags.
        preload: whether with segments and variants.
        deleted: the deleted ones instead of the others.
    """
    query = {
        "limit": limit,
        "offset": offset,
        "enabled": enabled,
        "key": key,
        "descriptionLike": description_like,
        "tags": None if tags is None else ",".join(tags),
        "preload": preload,
        "deleted": deleted,
    }
    return Call("GET", with_query(f"{API}/flags", {**query, **FULL}), replies.flags)


def get_flag(flag_id: int) -> Call[Flag]:
    """Return one flag with everything inside it."""
    return Call("GET", flag_path(flag_id), replies.flag)


def create_flag(key: str | None = None, *, description: str = "", template: str | None = None) -> Call[Flag]:
    """Make a flag; it is off.

    Args:
        key: its key; None lets the server draw one.
        description: what it is for.
        template: `simple_boolean_flag` gives everybody the variant `on` once the flag is enabled.
    """
    body = json_body(key=key, description=description, template=template)
    return Call("POST", with_query(f"{API}/flags", FULL), replies.flag, body)


def update_flag(
    flag_id: int,
    *,
    key: str | None = None,
    description: str | None = None,
    data_records_enabled: bool | None = None,
    entity_type: str | None = None,
    notes: str | None = None,
    rollout: str | None = None,
    client_visible: bool | None = None,
) -> Call[Flag]:
    """Change members of a flag; None leaves one as it is, an empty `entity_type` takes it away."""
    body = json_body(
        key=key,
        description=description,
        dataRecordsEnabled=data_records_enabled,
        entityType=entity_type,
        notes=notes,
        rollout=rollout,
        clientVisible=client_visible,
    )
    return Call("PUT", flag_path(flag_id), replies.flag, body)


def set_flag_enabled(flag_id: int, enabled: bool) -> Call[Flag]:
    """Switch a flag on or off."""
    return Call("PUT", flag_path(flag_id, "enabled"), replies.flag, json_body(enabled=enabled))


def delete_flag(flag_id: int) -> Call[None]:
    """Delete a flag; it can be restored, and its key stays taken."""
    return Call("DELETE", flag_path(flag_id), nothing)


def restore_flag(flag_id: int) -> Call[Flag]:
    """Bring a deleted flag back."""
    return Call("PUT", flag_path(flag_id, "restore"), replies.flag, b"{}")


def list_tags() -> Call[list[Tag]]:
    """Return all tags."""
    return Call("GET", f"{API}/tags", replies.tags)


def attach_tag(flag_id: int, value: str) -> Call[Tag]:
    """Attach a tag to a flag; it is made when there is none of this value."""
    return Call("POST", flag_path(flag_id, "tags"), replies.tag, json_body(value=value))


def detach_tag(flag_id: int, tag_id: int) -> Call[None]:
    """Take a tag from a flag."""
    return Call("DELETE", flag_path(flag_id, "tags", tag_id), nothing)
