"""The frame of every route that changes a flag: find it, check `If-Match`, edit, hand the new flag back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from starlette.requests import Request

from ...core.changes import Snapshot
from ...core.edits import Edit
from ...core.lint import Finding, lint_edit
from ...core.model import Flag
from ...core.segment_edits import find_segment
from ...errors import Conflict, InvalidFlag, NotFound
from ..asgi import WARNINGS
from ..editor import State
from ..services import Services
from .answers import etag
from .bodies import path_id


async def edit_flag(request: Request, edit: Callable[[Flag, State], Edit], *, tag: str | None = None) -> Flag:
    """Apply `edit` to the flag that the path names, and return the flag after it.

    Raises:
        NotFound: there is no such flag.
        Conflict: the flag is not the one that `If-Match` names.
    """
    flag_id = path_id(request, "flagID")
    before: Flag | None = None

    def decide(state: State) -> list[Edit]:
        nonlocal before
        before = find_flag(state.snapshot, flag_id)
        check_match(request, before)
        return [edit(before, state)]

    (flag,) = await services(request).editor.edit(actor(request), decide, tag=tag)
    warn(request, lint_edit(before, flag))
    return flag


def warn(request: Request, findings: Iterable[Finding]) -> None:
    """Note warnings for the answer's header; they never refuse anything."""
    request.scope["state"][WARNINGS] = tuple(findings)


async def edit_segment(request: Request, edit: Callable[[Flag, int, State], Edit]) -> Flag:
    """Apply `edit` to the segment that the path names, as `edit_flag` does."""
    segment_id = path_id(request, "segmentID")

    def with_segment(flag: Flag, state: State) -> Edit:
        check_segment(state.snapshot, flag, segment_id)
        return edit(flag, segment_id, state)

    return await edit_flag(request, with_segment)


def find_flag(snapshot: Snapshot, flag_id: int) -> Flag:
    """Return the flag of that id.

    Raises:
        NotFound: there is none, or it is deleted.
    """
    flag = snapshot.by_id(flag_id)
    if flag is None:
        raise NotFound(f"flag {flag_id} not found")
    return flag


def check_segment(snapshot: Snapshot, flag: Flag, segment_id: int) -> None:
    """Refuse a segment that is not the flag's.

    Raises:
        InvalidFlag: it belongs to another flag.
        NotFound: it does not exist.
    """
    try:
        find_segment(flag, segment_id)
    except NotFound:
        owner = next((other for other in snapshot.flags.values() if other.segment(segment_id)), None)
        if owner is None:
            raise
        raise InvalidFlag(f"segmentID: segment {segment_id} belongs to flag {owner.id}, not {flag.id}") from None


def check_match(request: Request, flag: Flag) -> None:
    """Honour `If-Match`: refuse to edit a flag that has changed since the client saw it.

    Raises:
        Conflict: the flag's tag is not among those that the header lists.
    """
    headers = request.headers.getlist("if-match")
    if not headers:
        return
    listed = [each.strip() for header in headers for each in header.split(",")]
    if "*" not in listed and etag(flag) not in listed:
        raise Conflict(f"flag {flag.id} is at {etag(flag)}, not at {headers[0][:80]}: fetch it and edit that")


def services(request: Request) -> Services:
    """Return what the server's parts share."""
    found: Services = request.app.state.services
    return found


def actor(request: Request) -> str | None:
    """Return who edits, as far as whoever checked the credentials knows (`request.state.actor`)."""
    name: str | None = getattr(request.state, "actor", None)
    return name
