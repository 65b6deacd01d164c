"""Every answer of the server, checked against what Flagent's clients accept: install `check` as a hook."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2

from .readers import CLIENTS, problems

_ID = r"[^/]+"
#: Which answers are of which shape; a star stands for a list of it. The first that matches counts.
_KINDS = [
    (methods, re.compile(r"(/api/v1)?" + path), shape)
    for methods, path, shape in (
        ("GET", r"/flags", "*Flag"),
        ("PUT", r"/flags/batch/enabled", "*Flag"),
        ("GET", r"/flags/(entity_types|snapshots/max_id)", None),
        ("GET", rf"/flags/{_ID}/(lint)", None),
        ("POST", r"/flags", "Flag"),
        ("GET", rf"/flags/{_ID}", "Flag"),
        ("PUT", rf"/flags/{_ID}(/enabled|/restore)?", "Flag"),
        ("POST", rf"/flags/{_ID}/duplicate", "Flag"),
        ("GET", rf"/flags/{_ID}/snapshots", "*FlagSnapshot"),
        ("GET", rf"/flags/{_ID}/segments", "*Segment"),
        ("PUT", rf"/flags/{_ID}/segments/reorder", None),
        ("GET|POST|PUT", rf"/flags/{_ID}/segments(/{_ID})?", "Segment"),
        ("GET", rf"/flags/{_ID}/segments/{_ID}/constraints", "*Constraint"),
        ("POST|PUT", rf"/flags/{_ID}/segments/{_ID}/constraints(/{_ID})?", "Constraint"),
        ("GET|PUT", rf"/flags/{_ID}/segments/{_ID}/distributions", "*Distribution"),
        ("GET", rf"/flags/{_ID}/variants", "*Variant"),
        ("POST|PUT", rf"/flags/{_ID}/variants(/{_ID})?", "Variant"),
        ("GET", rf"/(flags/{_ID}/)?tags", "*Tag"),
        ("POST", rf"/flags/{_ID}/tags", "Tag"),
        ("GET|POST", r"/evaluation", "EvalResult"),
        ("GET|POST", r"/evaluation/batch", "Batch"),
        ("GET", r"/export/eval_cache/json", "Export"),
        ("GET", r"/health", "Health"),
    )
]


def shape_of(method: str, path: str) -> str | None:
    """Return the shape of a successful answer, or None where Flagent's clients know none."""
    return next(
        (shape for methods, pattern, shape in _KINDS if method in methods.split("|") and pattern.fullmatch(path)), None
    )


def check(response: httpx2.Response) -> None:
    """Raise AssertionError if one of Flagent's clients would refuse this answer of the server."""
    request = response.request
    shape = shape_of(request.method, request.url.path)
    query = request.url.query
    if response.headers.get("content-type", "").startswith("text/event-stream") or b"view=full" in query:
        return
    if response.status_code >= 400:
        _demand("Error", response)
    elif response.status_code == 200 and shape is not None and b"after=" not in query and request.method != "HEAD":
        _demand(shape, response)


def _demand(shape: str, response: httpx2.Response) -> None:
    where = f"{response.request.method} {response.request.url.path} → {response.status_code}"
    if response.request.method == "HEAD":
        return
    response.read()
    kind = response.headers.get("content-type", "")
    assert kind.partition(";")[0] == "application/json", f"{where}: content type {kind!r}"
    document: Any = json.loads(response.content)
    each = document if shape.startswith("*") else [document]
    for client in CLIENTS:
        for item in each:
            found = list(problems(client, shape.removeprefix("*"), item))
            assert not found, f"{where}: {client} refuses it: {'; '.join(found[:5])}"
