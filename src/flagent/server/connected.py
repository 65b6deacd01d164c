"""What may be shown of those who are connected."""

from __future__ import annotations

import re
from typing import Any

from ..core.changes import Cursor
from ..core.edits import time_text
from .filters import Filter
from .stream import Stream

#: The first product of a `User-Agent`, RFC 9110, section 10.1.5.
_PRODUCT = re.compile(r"([!#$%&'*+.^_`|~\w-]+)(?:/([!#$%&'*+.^_`|~\w-]+))?")


def shown(stream: Stream, name: int, here: Cursor) -> dict[str, Any]:
    """Return a stream as admins see it.

    Args:
        stream: it.
        name: its id.
        here: where the server is.
    """
    about, reader = stream.about, stream.reader
    product = _PRODUCT.match(about.agent)
    return {
        "id": name,
        "kind": about.kind.value,
        "clientID": about.client_id or None,
        "userAgent": about.agent or None,
        "sdk": product[1] if product else None,
        "version": product[2] if product else None,
        "address": stream.address or None,
        "keyID": about.key_id,
        "connectedAt": time_text(about.opened_at),
        "filters": _conditions(about.wanted),
        "cursor": str(reader.cursor),
        "behind": max(0, here.revision - reader.seen.revision) if reader.seen.epoch == here.epoch else None,
        "bytesSent": stream.sent,
        "stalled": stream.pending is not None,
    }


def _conditions(wanted: Filter) -> dict[str, list[Any]]:
    found = {"flagKeys": wanted.keys, "flagIDs": wanted.ids, "tags": wanted.tags}
    return {name: sorted(values) for name, values in found.items() if values is not None}
