"""Who may call what: one pure decision from method, path and kind of key.

The table lists what is open to others than `admin`; a route that nobody thought of is closed to
everybody else. Rows are tried from the top; the first that matches decides.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from .keys import KeyKind

_EVERY_KIND = frozenset(KeyKind)
_BACKEND = frozenset({KeyKind.ADMIN, KeyKind.SERVER})
_ADMIN = frozenset({KeyKind.ADMIN})


class Rule(NamedTuple):
    """What a route asks for.

    Attributes:
        kinds: kinds of key that may call it; None when it asks for no key.
        openable: whether the setting `open_reads` frees it of keys: evaluation, export and stream,
            for those of Flagent's clients that can send none.
    """

    kinds: frozenset[KeyKind] | None
    openable: bool = False


_PUBLIC = Rule(None)
_RESULTS = Rule(_EVERY_KIND, openable=True)
_RULES = Rule(_BACKEND, openable=True)

_TABLE: tuple[tuple[re.Pattern[str], re.Pattern[str], Rule], ...] = tuple(
    (re.compile(methods), re.compile(path), rule)
    for methods, path, rule in (
        ("OPTIONS", r"/.*", _PUBLIC),
        ("GET|HEAD", r"(/api/v1)?(/health|/info|/realtime/sse/health)|/healthz|/readyz", _PUBLIC),
        ("GET|HEAD", r"/openapi\.json|/docs(/.*)?", _PUBLIC),
        ("GET|POST", r"/api/v1/evaluation(/batch)?", _RESULTS),
        ("GET|POST", r"(/api/v1)?/realtime/evaluations", _RESULTS),
        ("GET", r"(/api/v1)?/realtime/ws", _RESULTS),
        ("GET|HEAD", r"/api/v1/export/eval_cache/json", _RULES),
        ("GET", r"(/api/v1)?/realtime/sse", _RULES),
        ("GET|HEAD", r"/api/v1/(flags|tags)(/.*)?|/metrics", Rule(_BACKEND)),
    )
)


# The few addresses that nearly all requests go to; the others come and go.
@lru_cache(maxsize=512)
def rule_for(method: str, path: str) -> Rule:
    """Return what a call of this method on this path asks for."""
    for methods, paths, rule in _TABLE:
        if methods.fullmatch(method) and paths.fullmatch(path):
            return rule
    return Rule(_ADMIN)
