"""The OpenAPI document: operations and schemas put together, with what follows from each operation's kind."""

from __future__ import annotations

import re
from typing import Any

from ...version import __version__
from ..policy import rule_for
from .operations import OPERATIONS, Operation
from .schemas import ANSWERS, BODIES, ref

_PARAMETER = re.compile(r"\{(\w+)\}")
_STATUSES = {
    304: "What the client has is the newest.",
    400: "Something in the request can't be used; the message names it.",
    401: "A key is needed.",
    403: "The key may not do this.",
    404: "There is no such thing.",
    412: "The flag is not the one that `If-Match` names; fetch it again.",
    413: "The body is too large.",
    429: "Too many requests; `Retry-After` says when to come back.",
    503: "The server or its database can't answer now; `Retry-After` says when to come back.",
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "The flag's ETag: edit it only if it is still this one.",
}


def description() -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "flagent",
            "version": __version__,
            "description": 'Real-time feature flags. Every error is {"message": "…"}, naming what is wrong.',
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": ANSWERS | BODIES,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    rule = rule_for(operation.method, _PARAMETER.sub("1", operation.path))
    kinds = "nobody has to show a key" if rule.kinds is None else ", ".join(sorted(rule.kinds))
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": f"Keys that may: {kinds}." + (" `open_reads` frees it of keys." if rule.openable else ""),
        "parameters": _parameters(operation),
        "responses": _responses(operation, guarded=rule.kinds is not None),
        "security": [] if rule.kinds is None else [{}, {"bearer": []}, {"header": []}],
    }
    if operation.body is not None:
        content: dict[str, Any] = {"schema": ref(operation.body)}
        if operation.example is not None:
            content["example"] = operation.example
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}
        for name in _PARAMETER.findall(operation.path)
    ]
    in_query = [
        {"name": name, "in": "query", "required": name == "json", "schema": schema, "description": text}
        for name, schema, text in operation.query
    ]
    return in_path + in_query + ([_IF_MATCH] if _edits_a_flag(operation) else [])


def _edits_a_flag(operation: Operation) -> bool:
    return operation.method != "GET" and "{flagID}" in operation.path


def _responses(operation: Operation, *, guarded: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": operation.summary}
    if operation.answer is not None:
        answer["content"] = {operation.media: {"schema": operation.answer}}
    if operation.id == "exportGitops":
        answer["content"]["text/yaml"] = {"schema": {"type": "string"}}
    error = {"application/json": {"schema": ref("Error")}}
    responses: dict[str, Any] = {"200": answer}
    for status in sorted(_error_statuses(operation, guarded=guarded)):
        responses[str(status)] = {"description": _STATUSES[status]} | ({} if status == 304 else {"content": error})
    return responses


def _error_statuses(operation: Operation, *, guarded: bool) -> set[int]:
    statuses = set(operation.statuses)
    if guarded:
        statuses |= {401, 403, 429}
    if _PARAMETER.search(operation.path):
        statuses |= {400, 404}
    if operation.query and operation.tag != "realtime":
        statuses.add(400)
    if operation.body is not None:
        statuses |= {400, 413}
    if operation.method != "GET" and operation.tag != "evaluation":
        statuses.add(503)
    if operation.method == "GET" and operation.tag in ("flags", "tags"):
        # Some of it is read from the database.
        statuses.add(503)
    if _edits_a_flag(operation):
        statuses.add(412)
    return statuses
