"""What requests say: path ids, queries and JSON bodies, each checked, with an error that names the field.

Bodies are read whatever the Content-Type is; members that we don't know are ignored, and an
explicit null of an optional one is as good as its absence, because Flagent's Python SDK sends those.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ...core.model import wire_name
from ...errors import InvalidFlag

_T = TypeVar("_T")

_INTEGER = re.compile(r"-?[0-9]{1,18}")


class CreateFlag(Struct, rename=wire_name):
    """Body of `POST /flags`."""

    description: str
    key: str | None = None
    template: str | None = None


class DuplicateFlag(Struct, rename=wire_name):
    """Body of `POST /flags/{id}/duplicate`."""

    key: str | None = None
    description: str | None = None


class Enabled(Struct):
    """Body of `PUT /flags/{id}/enabled`."""

    enabled: bool


class BatchEnabled(Struct):
    """Body of `PUT /flags/batch/enabled`."""

    ids: list[int]
    enabled: bool


class SegmentBody(Struct, rename=wire_name):
    """Body that makes or changes a segment."""

    description: str
    rollout_percent: int


class SegmentOrder(Struct):
    """Body of `PUT /flags/{id}/segments/reorder`."""

    segment_ids: list[int] = msgspec.field(name="segmentIDs")


class ConstraintBody(Struct):
    """Body that makes or changes a constraint."""

    property: str
    operator: str
    value: str


class Share(Struct, rename=wire_name):
    """One of the distributions in a `DistributionsBody`."""

    variant_id: int
    percent: int
    variant_key: str | None = None


class DistributionsBody(Struct):
    """Body of `PUT …/distributions`."""

    distributions: list[Share]


class VariantBody(Struct):
    """Body that makes or changes a variant; without an attachment it has none afterwards."""

    key: str
    attachment: dict[str, Any] | None = None


class TagBody(Struct):
    """Body of `POST /flags/{id}/tags`."""

    value: str


async def decoded(request: Request, kind: type[_T]) -> _T:
    """Return the body as a value of that kind.

    Raises:
        InvalidFlag: it is no JSON, or not of that kind.
        HTTPException: 413, it is too large.
    """
    body = await _read(request, request.app.state.services.settings.max_body_bytes)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as exc:
        raise InvalidFlag(f"body: {exc}") from exc
    except RecursionError as exc:
        raise InvalidFlag("body: nested too deeply") from exc
    except ValueError as exc:
        raise InvalidFlag(f"body: no valid JSON: {exc}") from exc


def path_id(request: Request, name: str) -> int:
    """Return the id in the path, by the name that the API's description gives it (`flagID`)."""
    text = request.path_params[name]
    if not _INTEGER.fullmatch(text):
        raise InvalidFlag(f"{name}: {text[:40]!r} is not an integer")
    return int(text)


def count(request: Request, name: str) -> int | None:
    """Return a number of the query that counts something; None when there is none that does."""
    text = request.query_params.get(name, "")
    # As in Flagent, what is no number is not there.
    return int(text) if _INTEGER.fullmatch(text) and not text.startswith("-") else None


def switch(request: Request, name: str) -> bool | None:
    """Return a boolean of the query: true only for `true`, in any case; None when there is none."""
    text = request.query_params.get(name)
    return None if text is None else text.lower() == "true"


async def _read(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise HTTPException(413, f"the body is larger than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
