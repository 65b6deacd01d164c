"""What a server counts, in Prometheus' form. No flag, key, entity or address is ever a label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric

from .reports import Across, Family, Report, Sample, merged

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PREFIX = "flagent_"
#: Seconds from an edit to its event on the last stream: from half a millisecond to "something is wrong".
_DELIVERY_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
#: The parts of the API that requests are counted by; anything else is `other`.
_GROUPS = frozenset({"flags", "tags", "evaluation", "export", "import", "realtime", "keys", "health", "info"})


class Metrics:
    """The metrics of one worker, in a registry of its own.

    Args:
        carried: what workers counted in whose place this one is.
    """

    def __init__(self, carried: Report | None = None) -> None:
        self._carried = carried or {}
        self._across: dict[str, Across] = {}
        self._registry = registry = CollectorRegistry()
        self._answers: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._resumes: defaultdict[str, int] = defaultdict(int)
        self._evaluations = 0
        self._requests = Counter(
            "flagent_requests", "Answers by part of the API and status.", ["group", "status"], registry=registry
        )
        self._evaluated = Counter("flagent_evaluations", "Flags evaluated by the server.", registry=registry)
        self._opened = Counter(
            "flagent_streams_opened", "Streams opened, by how their cursor was answered.", ["resume"], registry=registry
        )
        self.delivery = Histogram(
            "flagent_delivery_seconds",
            "From an edit to its event written to all streams that were ready for it.",
            buckets=_DELIVERY_BUCKETS,
            registry=registry,
        )

    def gauge(self, name: str, documentation: str, value: Callable[[], float], across: Across = Across.TOTAL) -> None:
        """Show a number that is looked up whenever someone asks."""
        self._across[_PREFIX + name] = across
        Gauge(_PREFIX + name, documentation, registry=self._registry).set_function(value)

    def gauges(
        self,
        name: str,
        documentation: str,
        label: str,
        values: Mapping[str, Callable[[], float]],
        across: Across = Across.TOTAL,
    ) -> None:
        """Show numbers that are looked up whenever someone asks, one for each value of a label."""
        self._across[_PREFIX + name] = across
        gauge = Gauge(_PREFIX + name, documentation, [label], registry=self._registry)
        for value, number in values.items():
            gauge.labels(value).set_function(number)

    def counted(self, path: str, status: int) -> None:
        """Count an answer."""
        # The library's own counting costs more than an evaluation; its counters get these when someone asks.
        self._answers[group_of(path), status] += 1

    def opened(self, resume: str) -> None:
        """Count a stream that was opened, by how its cursor was answered."""
        self._resumes[resume] += 1

    def evaluated(self, count: int) -> None:
        """Count evaluations."""
        self._evaluations += count

    def report(self) -> Report:
        """Return all numbers of this worker, and of those in whose place it is."""
        self._settle()
        own = {
            family.name: Family(
                family.type,
                family.documentation,
                self._across.get(family.name, Across.TOTAL),
                [Sample(each.name, tuple(each.labels.items()), each.value) for each in family.samples],
            )
            for family in self._registry.collect()
        }
        return merged(own, (self._carried,))

    def _settle(self) -> None:
        answers, self._answers = self._answers, defaultdict(int)
        for (group, status), count in answers.items():
            self._requests.labels(group, str(status)).inc(count)
        resumes, self._resumes = self._resumes, defaultdict(int)
        for resume, count in resumes.items():
            self._opened.labels(resume).inc(count)
        count, self._evaluations = self._evaluations, 0
        self._evaluated.inc(count)

    def text(self) -> bytes:
        """Return all numbers of this worker as Prometheus reads them."""
        return text(self.report())


def text(report: Report) -> bytes:
    """Return a report as Prometheus reads it."""
    return generate_latest(_Collected(report))


class _Collected(CollectorRegistry):
    """A report in the form that the library prints."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report

    def collect(self) -> Iterable[Metric]:
        """Return each metric."""
        for name, family in self._report.items():
            metric = Metric(name, family.documentation, family.kind)
            for sample in family.samples:
                metric.add_sample(sample.name, dict(sample.labels), sample.value)
            yield metric


# The few addresses that nearly all requests go to.
@lru_cache(maxsize=512)
def group_of(path: str) -> str:
    """Return the part of the API that a path belongs to: few words, whatever is asked for."""
    first = path.removeprefix("/api/v1").lstrip("/").partition("/")[0]
    return first if first in _GROUPS else "other"
