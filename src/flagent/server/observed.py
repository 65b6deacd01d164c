"""What the metrics show of the hub and of the streams."""

from __future__ import annotations

from functools import partial

from .broadcast import Broadcaster
from .hub import Hub
from .metrics import Metrics
from .reports import Across, Report
from .stream import Kind


def observed(hub: Hub, broadcaster: Broadcaster, carried: Report) -> Metrics:
    """Return the metrics of a server.

    Args:
        hub: whose state they show.
        broadcaster: whose streams they count.
        carried: what a worker before this one has counted.
    """
    metrics = Metrics(carried)
    broadcaster.delivered = metrics.delivery.observe
    counts = {kind.value: partial(broadcaster.count, kind) for kind in Kind}
    metrics.gauges("streams", "Open streams.", "kind", counts, Across.SUM)
    metrics.gauge("streams_bytes", "Bytes written to streams.", lambda: broadcaster.written)
    metrics.gauge("streams_stalled", "Streams ended because their reader took nothing.", lambda: broadcaster.stalled)
    metrics.gauge("streams_failed", "Streams ended because they could not be served.", lambda: broadcaster.failed)
    metrics.gauge("revision", "Revision of the newest change.", lambda: hub.cursor.revision, Across.SAME)
    metrics.gauge("flags", "Flags that are not deleted.", lambda: len(hub.snapshot.flags), Across.SAME)
    metrics.gauge("workers", "Processes of this server that answer.", lambda: 1, Across.SUM)
    metrics.gauge("divergences", "Changes whose digest was wrong; anything but 0 is a bug.", lambda: hub.divergences)
    return metrics
