"""What the description says about one operation, and the query parameters that several share."""

from __future__ import annotations

from typing import Any, NamedTuple

from .schemas import Schema


class Operation(NamedTuple):
    """What a method does on a path.

    Attributes:
        method: HTTP method.
        path: path with its parameters in braces; all of them are integers.
        id: stable name, for generated clients.
        tag: the group that it belongs to.
        summary: one sentence.
        answer: schema of the answer; None for an empty one.
        body: name of the body's schema; None for no body.
        query: query parameters: name, schema, what they do.
        media: content type of the answer.
        statuses: further statuses besides those that follow from the rest.
        example: a body that works.
    """

    method: str
    path: str
    id: str
    tag: str
    summary: str
    answer: Schema | None = None
    body: str | None = None
    query: tuple[tuple[str, Schema, str], ...] = ()
    media: str = "application/json"
    statuses: tuple[int, ...] = ()
    example: Any = None


API = "/api/v1"
WHOLE: Schema = {"type": "integer", "minimum": 0}
VIEW = ("view", {"type": "string", "enum": ["compatible", "full"]}, "`full` adds our own members to flags.")
PAGE = (("limit", WHOLE, "At most so many."), ("offset", WHOLE, "Skip so many."))
