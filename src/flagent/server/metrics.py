"""What a server counts, in Prometheus' form. No flag, key, entity or address is ever a label."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Seconds from an edit to its event on the last stream: from half a millisecond to "something is wrong".
_DELIVERY_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
#: The parts of the API that requests are counted by; anything else is `other`.
_GROUPS = frozenset({"flags", "tags", "evaluation", "export", "import", "realtime", "keys", "health", "info"})


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._answers: dict[tuple[str, int], Counter] = {}
        self.requests = Counter(
            "flagent_requests", "Answers by part of the API and status.", ["group", "status"], registry=registry
        )
        self.evaluations = Counter("flagent_evaluations", "Flags evaluated by the server.", registry=registry)
        self.accepts = Counter(
            "flagent_streams_opened", "Streams opened, by how their cursor was answered.", ["resume"], registry=registry
        )
        self.delivery = Histogram(
            "flagent_delivery_seconds",
            "From an edit to its event written to all streams that were ready for it.",
            buckets=_DELIVERY_BUCKETS,
            registry=registry,
        )

    def gauge(self, name: str, documentation: str, value: Callable[[], float]) -> None:
        """Show a number that is looked up whenever someone asks."""
        Gauge(f"flagent_{name}", documentation, registry=self._registry).set_function(value)

    def gauges(self, name: str, documentation: str, label: str, values: Mapping[str, Callable[[], float]]) -> None:
        """Show numbers that are looked up whenever someone asks, one for each value of a label."""
        gauge = Gauge(f"flagent_{name}", documentation, [label], registry=self._registry)
        for value, number in values.items():
            gauge.labels(value).set_function(number)

    def counted(self, path: str, status: int) -> None:
        """Count an answer."""
        place = (group_of(path), status)
        counter = self._answers.get(place)
        if counter is None:
            # Looking a counter up by its labels costs more than counting.
            counter = self._answers[place] = self.requests.labels(place[0], str(status))
        counter.inc()

    def text(self) -> bytes:
        """Return all metrics as Prometheus reads them."""
        return generate_latest(self._registry)


def group_of(path: str) -> str:
    """Return the part of the API that a path belongs to: few words, whatever is asked for."""
    first = path.removeprefix("/api/v1").lstrip("/").partition("/")[0]
    return first if first in _GROUPS else "other"
