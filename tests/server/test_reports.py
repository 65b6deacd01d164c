"""What workers have counted, added up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from flagent.server import reports
from flagent.server.metrics import Metrics, text
from flagent.server.reports import Across, Family, Report, Sample


def report(across: Across, value: float, name: str = "a", **labels: str) -> Report:
    return {"a": Family("gauge", "A number.", across, [Sample(name, tuple(labels.items()), value)])}


def values(found: Report) -> list[float]:
    return [sample.value for sample in found["a"].samples]


def test_counts_and_amounts_are_added_and_what_is_the_same_everywhere_is_not() -> None:
    added = {across: values(reports.merged(report(across, 2), [report(across, 3)] * 2)) for across in Across}

    assert added == {Across.TOTAL: [8], Across.SUM: [8], Across.SAME: [2]}


def test_labels_that_only_another_worker_has_are_there_too() -> None:
    found = reports.merged(report(Across.TOTAL, 1, status="200"), [report(Across.TOTAL, 2, status="404")])

    assert [(each.labels, each.value) for each in found["a"].samples] == [
        ((("status", "200"),), 1),
        ((("status", "404"),), 2),
    ]


def test_a_counter_began_when_the_first_of_them_began() -> None:
    found = reports.merged(report(Across.TOTAL, 50, "a_created"), [report(Across.TOTAL, 40, "a_created")])

    assert values(found) == [40]


def test_of_a_worker_that_is_gone_only_what_it_has_counted_is_left() -> None:
    found = {across: reports.lasting(report(across, 2)) for across in Across}

    assert [across for across, left in found.items() if left] == [Across.TOTAL]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_a_counter_never_goes_back_however_often_its_worker_is_replaced(counts: list[int]) -> None:
    carried: Report = {}
    shown = []
    for count in counts:
        metrics = Metrics(carried)
        metrics.evaluated(count)
        told = reports.decode(reports.encode(metrics.report()))
        shown.append(told["flagent_evaluations"].samples[0].value)
        carried = reports.lasting(told)

    assert shown == sorted(shown)
    assert shown[-1] == sum(counts)


def test_one_worker_is_shown_as_the_library_shows_it() -> None:
    metrics = Metrics()
    metrics.counted("/api/v1/flags", 200)
    metrics.counted("/api/v1/flags", 404)
    metrics.delivery.observe(0.003)
    metrics.gauge("depth", "Of water, in metres.", lambda: 7, Across.SUM)

    assert text(metrics.report()) == generate_latest(metrics._registry)
