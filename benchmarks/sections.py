"""The sections of the document: what each benchmark found, as tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from peers.cases import ROWS

_OURS = "flagent"


def evaluation(found: dict[str, Any]) -> str:
    """Return the tables of the evaluation in process."""
    by_name = found["evaluation"]
    least = [
        [name, *(number(each[kind]["min_us"]) if kind in each else "–" for kind in ROWS)]
        for name, each in by_name.items()
    ]
    median = [
        [name, *(number(each[kind]["median_us"]) if kind in each else "–" for kind in ROWS)]
        for name, each in by_name.items()
    ]
    ratio = [
        [name, *(number(each[kind]["times_ours"]) if kind in each else "–" for kind in ROWS)]
        for name, each in by_name.items()
        if name != _OURS
    ]
    everything = [
        [name, number(each["min_us"]), number(each["times_ours"])] for name, each in found["everything"].items()
    ]
    start = [[name, number(each["import_ms"]), number(each["rss_mb"])] for name, each in found["start"].items()]
    memory = ", ".join(f"{kind} {'–' if each is None else number(each)}" for kind, each in found["allocations"].items())
    return "\n\n".join(
        [
            "![One evaluation](performance/evaluation.svg)",
            f"Microseconds, the least of all rounds ({found['rounds']}):",
            markdown(("", *ROWS), least),
            "The median of the rounds:",
            markdown(("", *ROWS), median),
            "Times ours (least to least):",
            markdown(("", *ROWS), ratio),
            "All of 1,000 flags in one call, where there is one:",
            markdown(("", "µs", "times ours"), everything),
            f"Requests for memory in one evaluation of ours: {memory}.",
            "Import of an SDK with loading the flags, and the most memory of its process:",
            markdown(("", "import, ms", "MB"), start),
            *skipped(found),
        ]
    )


def fanout(found: dict[str, Any]) -> str:
    """Return the tables of the fan-out."""
    marks = (
        "cpu_us",
        "times_floor",
        "p50_ms",
        "p99_ms",
        "max_ms",
        "memory_kb",
        "accepts_per_s",
        "edit_cpu_us",
        "client_cpu_us",
    )
    rows = [
        [f"{int(size):,}", view, name, *(number(each.get(mark)) for mark in marks)]
        for size, views in found["fanout"].items()
        for view, servers in views.items()
        for name, each in servers.items()
    ]
    header = ("Subscribers", "View", "Server", "CPU, µs", "times floor", "p50, ms", "p99, ms", "max, ms", "KB each")
    others = [
        [f"{percent} % of {found['filters']['clients']:,} streams", *_cost(each)]
        for percent, each in found["filters"]["percent"].items()
    ]
    others.append([f"results of {found['entities']['clients']:,} entities", *_cost(found["entities"])])
    size = found["event_bytes"]
    return "\n\n".join(
        [
            "![Fan-out](performance/fanout.svg)",
            f"An event has {size['full']} bytes in the full view and {size['compatible']} in the compatible one.",
            f"Medians; rounds: {found['rounds']}, events in each: {found['events']}.",
            markdown((*header, "accepts/s", "edit, µs", "client, µs"), rows),
            _beside(found["beside"]),
            _slow(found["slow_readers"]),
            "Who wants the event; what the edit costs by itself is included:",
            markdown(
                ("", "CPU of an event, ms", "µs for each that wants it", "p50, ms", "p99, ms", "accepts/s"), others
            ),
            *skipped(found),
        ]
    )


def _beside(each: dict[str, Any]) -> str:
    rest, busy = ([number(each[name][mark]) for mark in ("p50", "p99")] for name in ("rest_ms", "beside_ms"))
    return (
        f"Evaluation by request, a hundred a second, beside {each['clients']:,} subscribers: p50 {rest[0]} and p99 "
        f"{rest[1]} ms at rest, {busy[0]} and {busy[1]} ms while ten events a second go out."
    )


def _slow(each: dict[str, Any]) -> str:
    without, beside = number(each["p99_ms"]["without"]), number(each["p99_ms"]["with"])
    return (
        f"{each['clients']:,} readers of events of {each['event_bytes']:,} bytes: p99 {without} ms, and {beside} ms "
        f"beside {each['slow']} that never read."
    )


def _cost(each: dict[str, float]) -> list[str]:
    return [number(each[mark]) for mark in ("event_cpu_ms", "cpu_us_each", "p50_ms", "p99_ms", "accepts_per_s")]


def http_routes(found: dict[str, Any]) -> str:
    """Return the table of the requests."""
    marks = ("cpu_least_us", "cpu_us", "times_go", "times_uvicorn", "requests_per_s", "p99_ms")
    rows = [
        [route, name, *(number(each.get(mark)) for mark in marks)]
        for route, servers in found["routes"].items()
        for name, each in servers.items()
    ]
    header = ("Request", "Server", "least CPU, µs", "median", "times Go", "times bare ASGI", "requests/s", "p99, ms")
    return "\n\n".join(["![Requests](performance/http.svg)", markdown(header, rows), *skipped(found)])


def latency(found: dict[str, Any]) -> str:
    """Return the table of the delays of changes."""
    rows = [
        [name, *(number(found[name][mark]) for mark in ("p50_ms", "p90_ms", "p99_ms", "max_ms"))]
        for name in ("committed", "committing", "request", "answer", "disk")
    ]
    start, load = number(found["start_s"]), number(found["bootstrap_s"])
    loaded = f"With {found['flags']:,} flags a server starts in {start} s, and an SDK loads them in {load} s."
    return "\n\n".join([markdown(("Milliseconds from", "p50", "p90", "p99", "max"), rows), loaded])


def workers(found: dict[str, Any]) -> str:
    """Return the tables of one and two workers."""
    woken = [
        [name, *(number(found["waking"]["sqlite"][mark][point]) for point in ("p50", "p99", "max"))]
        for name, mark in (
            ("the other worker is woken", "commit_to_woken_ms"),
            ("a stream of the same worker has it", "commit_to_own_ms"),
            ("a stream of the other worker has it", "commit_to_other_ms"),
        )
    ]
    rows = []
    for count, each in found["workers"].items():
        requests, events = each["evaluation"], each["fan_out"]
        costs = requests["per_second"], requests["cpu_us"], requests["share_of_busiest"], events["cpu_us"]
        rows.append([count, *map(number, (*costs, events["p50_ms"], events["p99_ms"], each["memory_mb"]))])
    opened = [
        [count, number(each["per_second"]), number(each["cpu_us"])]
        for count, each in found["opening"].items()
        if count != "skipped"
    ]
    header = ("Workers", "requests/s", "CPU of one, µs", "share of the busiest", "CPU of an event, µs", "p50, ms")
    return "\n\n".join(
        [
            markdown((*header, "p99, ms", "MB"), rows),
            markdown(("Workers", "streams opened/s", "CPU of one, µs"), opened),
            markdown(("Milliseconds until", "p50", "p99", "max"), woken),
        ]
    )


def plain(found: dict[str, Any]) -> str:
    """Return every number of a benchmark under its own name."""
    return markdown(("Number", "Value"), [[f"`{name}`", number(value)] for name, value in flat(found)])


def flat(found: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the numbers of nested results, with the way to each as its name."""
    for name, value in found.items():
        if name in ("goals", "surroundings", "benchmark"):
            continue
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def skipped(found: dict[str, Any]) -> list[str]:
    """Return who was left out, and why."""
    return [f"Without {name}: {reason}." for name, reason in found["skipped"].items()]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def number(value: Any) -> str:
    """Return a number as people read it."""
    if value is None:
        return "–"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


#: What writes the section of each benchmark, in the order of the document.
SECTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "evaluation": evaluation,
    "fanout": fanout,
    "http_routes": http_routes,
    "workers": workers,
    "latency": latency,
    "sdk": plain,
    "snapshot": plain,
}
