"""Write docs/performance.md and its plots from what the benchmarks printed with `--json`.

    .venv/bin/python benchmarks/report.py [--results FOLDER] [--docs FOLDER]

The folder has a file NAME.json for each benchmark; one that is missing is left out of the document. `scripts/performance`
runs the benchmarks and then this.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from building import CACHE, HERE
from goals import Results, outcomes
from peers.cases import KINDS
from plots import bars

_NAMES = ("evaluation", "fanout", "http_routes", "latency", "sdk", "snapshot")
_TEXT = HERE / "performance"
_OURS = "flagent"


def read(folder: Path) -> Results:
    """Return the results that are there.

    Raises:
        ValueError: a file has something else; the message names it.
    """
    found: Results = {}
    for name in _NAMES:
        file = folder / f"{name}.json"
        if not file.exists():
            continue
        try:
            value = json.loads(file.read_text())
        except ValueError as exc:
            raise ValueError(f"{file} is no JSON: {exc}") from exc
        if not isinstance(value, dict):
            raise ValueError(f"{file} has no object")  # noqa: TRY004 - it is a value of a file
        found[name] = value
    return found


def document(results: Results) -> str:
    """Return the document."""
    parts = [_paragraphs("introduction.md"), surroundings(results), goals(results)]
    sections = {
        "evaluation": evaluation,
        "fanout": fanout,
        "http_routes": http_routes,
        "latency": latency,
        "sdk": plain,
        "snapshot": plain,
    }
    for name, section in sections.items():
        if name in results:
            parts += [_paragraphs(f"{name}.md"), section(results[name])]
    return "\n\n".join(part.strip() for part in [*parts, _paragraphs("limits.md")]) + "\n"


def plots(results: Results) -> dict[str, str]:
    """Return the drawings by the names of their files."""
    found = {}
    if "evaluation" in results:
        by_name = results["evaluation"]["evaluation"]
        groups = {
            f"flag {kind}": {name: each.get(kind, {}).get("min_us") for name, each in by_name.items()} for kind in KINDS
        }
        found["evaluation.svg"] = bars("One evaluation, microseconds of CPU time", groups, _OURS)
    if "fanout" in results:
        groups = {
            f"{int(size):,} subscribers": {name: each["cpu_us"] for name, each in views["full"].items()}
            for size, views in results["fanout"]["fanout"].items()
        }
        title = "Fan-out, microseconds of CPU time for one event and one subscriber"
        found["fanout.svg"] = bars(title, groups, _OURS)
    if "http_routes" in results:
        groups = {
            route: {name: each["cpu_least_us"] for name, each in servers.items()}
            for route, servers in results["http_routes"]["routes"].items()
        }
        found["http.svg"] = bars("One request, microseconds of the server's CPU time", groups, _OURS)
    return found


def surroundings(results: Results) -> str:
    """Return where the numbers are from."""
    rows = [
        [f"`benchmarks/{name}.py`", *(each["surroundings"][mark] for mark in ("at", "commit", "python", "load_before"))]
        for name, each in results.items()
        if "surroundings" in each
    ]
    machines = {
        f"{each['surroundings']['cores']} cores of {each['surroundings']['processor']}, {each['surroundings']['system']}"
        for each in results.values()
        if "surroundings" in each
    }
    header = ("Benchmark", "When", "Commit", "Python", "Load of the machine before")
    return "\n\n".join([*(f"Machine: {machine}." for machine in sorted(machines)), markdown(header, rows)])


def goals(results: Results) -> str:
    """Return which goals are met."""
    rows = [
        [
            goal.what,
            f"{'at least' if goal.at_least else 'at most'} {goal.limit:,g} {goal.unit}",
            "not measured" if value is None else f"{number(value)} {goal.unit}",
            "" if value is None else "met" if goal.met(value) else "**not met**",
        ]
        for goal, value in outcomes(results)
    ]
    # What other benchmarks say about their own goals.
    for name in ("snapshot", "sdk"):
        for goal, met in results.get(name, {}).get("goals", {}).items():
            if goal != "import_ms":
                rows.append([f"`{name}.py`: {goal.replace('_', ' ')}", "see below", "", "met" if met else "**not met**"])
    return "## Goals\n\n" + markdown(("What", "Goal", "Measured", ""), rows)


def evaluation(found: dict[str, Any]) -> str:
    """Return the tables of the evaluation in process."""
    by_name = found["evaluation"]
    least = [
        [name, *(number(each[kind]["min_us"]) if kind in each else "–" for kind in KINDS)] for name, each in by_name.items()
    ]
    median = [
        [name, *(number(each[kind]["median_us"]) if kind in each else "–" for kind in KINDS)]
        for name, each in by_name.items()
    ]
    ratio = [
        [name, *(number(each[kind]["times_ours"]) if kind in each else "–" for kind in KINDS)]
        for name, each in by_name.items()
        if name != _OURS
    ]
    everything = [[name, number(each["min_us"]), number(each["times_ours"])] for name, each in found["everything"].items()]
    start = [[name, number(each["import_ms"]), number(each["rss_mb"])] for name, each in found["start"].items()]
    memory = ", ".join(f"{kind} {'–' if each is None else number(each)}" for kind, each in found["allocations"].items())
    return "\n\n".join(
        [
            "![One evaluation](performance/evaluation.svg)",
            f"Microseconds, the least of {found['rounds']} rounds:",
            markdown(("", *KINDS), least),
            "The median of the rounds:",
            markdown(("", *KINDS), median),
            "Times ours (least to least):",
            markdown(("", *KINDS), ratio),
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
    marks = ("cpu_us", "times_floor", "p50_ms", "p99_ms", "max_ms", "memory_kb", "accepts_per_s", "edit_cpu_us")
    rows = [
        [f"{int(size):,}", view, name, *(number(each.get(mark)) for mark in marks)]
        for size, views in found["fanout"].items()
        for view, servers in views.items()
        for name, each in servers.items()
    ]
    header = ("Subscribers", "View", "Server", "CPU, µs", "times floor", "p50, ms", "p99, ms", "max, ms", "KB each")
    beside, slow = found["beside"], found["slow_readers"]
    others = [
        [f"{percent} % of {found['filters']['clients']:,} streams", *_cost(each)]
        for percent, each in found["filters"]["percent"].items()
    ]
    others.append([f"results of {found['entities']['clients']:,} entities", *_cost(found["entities"])])
    size = found["event_bytes"]
    return "\n\n".join(
        [
            "![Fan-out](performance/fanout.svg)",
            f"An event has {size['full']} bytes in the full view and {size['compatible']} in the compatible one. "
            f"Medians of {found['rounds']} rounds of {found['events']} events:",
            markdown((*header, "accepts/s", "edit, µs"), rows),
            f"Evaluation by request, a hundred a second, beside {beside['clients']:,} subscribers: p99 "
            f"{number(beside['rest_ms']['p99'])} ms at rest, {number(beside['beside_ms']['p99'])} ms while ten events a "
            f"second go out (p50 {number(beside['rest_ms']['p50'])} and {number(beside['beside_ms']['p50'])}).",
            f"{slow['clients']:,} readers of events of {slow['event_bytes']:,} bytes: p99 {number(slow['p99_ms']['without'])} ms, "
            f"and {number(slow['p99_ms']['with'])} ms beside {slow['slow']} that never read.",
            "Who wants the event; what the edit costs by itself is included:",
            markdown(("", "CPU of an event, ms", "µs for each that wants it", "p50, ms", "p99, ms", "accepts/s"), others),
            *skipped(found),
        ]
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
        for name in ("committed", "committing", "request", "answer")
    ]
    return "\n\n".join(
        [
            markdown(("Milliseconds from", "p50", "p90", "p99", "max"), rows),
            f"With {found['flags']:,} flags a server starts in {number(found['start_s'])} s, and an SDK loads them in "
            f"{number(found['bootstrap_s'])} s.",
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


def _paragraphs(name: str) -> str:
    return (_TEXT / name).read_text()


def main() -> int:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=CACHE / "results", help="where the benchmarks' JSON is")
    parser.add_argument("--docs", type=Path, default=HERE.parent / "docs", help="where performance.md is to be")
    options = parser.parse_args()
    try:
        results = read(options.results)
    except ValueError as exc:
        parser.error(str(exc))
    if not results:
        parser.error(f"--results: {options.results} has none of {', '.join(f'{name}.json' for name in _NAMES)}")
    (options.docs / "performance").mkdir(parents=True, exist_ok=True)
    for name, drawing in plots(results).items():
        (options.docs / "performance" / name).write_text(drawing)
    (options.docs / "performance.md").write_text(document(results))
    print(f"wrote {options.docs / 'performance.md'} from {', '.join(results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
