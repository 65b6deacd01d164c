"""What the server answers. The hot routes (streams, export, evaluation) are not in the list: they bypass Starlette."""

from __future__ import annotations

from starlette.routing import BaseRoute

from . import connections, docs, flags, health, history, imports, keys, segments, tags, variants

#: Tried one after the other: edits first, which streams wait for. But `history`, or its paths were taken for flag ids.
ROUTES: list[BaseRoute] = [
    *history.routes,
    *flags.routes,
    *segments.routes,
    *variants.routes,
    *tags.routes,
    *imports.routes,
    *keys.routes,
    *connections.routes,
    *health.routes,
    *docs.routes,
]
