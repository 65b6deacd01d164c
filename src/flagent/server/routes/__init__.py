"""What the server answers. The hot routes (streams, export, evaluation) are not in the list: they bypass Starlette."""

from __future__ import annotations

from starlette.routing import BaseRoute

from . import connections, docs, flags, health, history, imports, keys, segments, tags, variants

#: `history` first: its paths would be taken for flag ids.
ROUTES: list[BaseRoute] = [
    *docs.routes,
    *health.routes,
    *history.routes,
    *flags.routes,
    *segments.routes,
    *variants.routes,
    *tags.routes,
    *imports.routes,
    *keys.routes,
    *connections.routes,
]
