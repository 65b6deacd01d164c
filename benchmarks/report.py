"""Write docs/performance.md and its plots from what the benchmarks printed with `--json`.

    .venv/bin/python benchmarks/report.py [--results FOLDER] [--docs FOLDER]

The folder has a file NAME.json for each benchmark; one that is missing is left out of the document.
`scripts/performance` runs the benchmarks and then this.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import sections
from building import CACHE, HERE
from goals import Goal, Results, floor_pace, outcomes, pace
from peers.cases import ROWS
from plots import bars
from sections import markdown, number

_TEXT = HERE / "performance"
_OURS = "flagent"


def read(folder: Path) -> Results:
    """Return the results that are there.

    Raises:
        ValueError: a file has something else; the message names it.
    """
    found: Results = {}
    for name in sections.SECTIONS:
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
    for name, found in results.items():
        parts += [_paragraphs(f"{name}.md"), sections.SECTIONS[name](found)]
    return "\n\n".join(part.strip() for part in [*parts, _paragraphs("limits.md")]) + "\n"


def plots(results: Results) -> dict[str, str]:
    """Return the drawings by the names of their files."""
    found = {}
    if "evaluation" in results:
        by_name = results["evaluation"]["evaluation"]
        groups = {
            f"flag {kind}": {name: each.get(kind, {}).get("min_us") for name, each in by_name.items()} for kind in ROWS
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
    places = [each["surroundings"] for each in results.values() if "surroundings" in each]
    machines = {f"{place['cores']} cores of {place['processor']}, {place['system']}" for place in places}
    header = ("Benchmark", "When", "Commit", "Python", "Load of the machine before")
    return "\n\n".join([*(f"Machine: {machine}." for machine in sorted(machines)), markdown(header, rows)])


def goals(results: Results) -> str:
    """Return which goals are met."""
    rows = [_outcome(goal, value, results) for goal, value in outcomes(results)]
    # What that benchmark says about its own goals.
    for name, met in results.get("sdk", {}).get("goals", {}).items():
        if not name.startswith("import_"):
            rows.append([f"`sdk.py`: {name.replace('_', ' ')}", "see below", "", "", "met" if met else "**not met**"])
    found = ["## Goals", _paragraphs("goals.md").strip()]
    paces = {"for programs in Python": pace(results), "to write to 10,000 connections": floor_pace(results)}
    known = [f"{number(times)} times as long {what}" for what, times in paces.items() if times is not None]
    if known:
        found.append(f"This machine takes {' and '.join(known)}.")
    return "\n\n".join([*found, markdown(("What", "Goal", "Measured", "Comes to", ""), rows)])


def _outcome(goal: Goal, value: float | None, results: Results) -> list[str]:
    limit = f"{'at least' if goal.at_least else 'at most'} {goal.limit:,g} {goal.unit}"
    if value is None:
        return [goal.what, limit, "not measured", "", ""]
    there = goal.there(value, results)
    outcome = "met" if goal.met(value) else "**not met**"
    if there is not None and not goal.met(value) and goal.met(there):
        outcome = "**not met** here, met there"
    comes_to = "" if there is None else f"{number(there)} {goal.unit}"
    return [goal.what, limit, f"{number(value)} {goal.unit}", comes_to, outcome]


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
        parser.error(
            f"--results: {options.results} has none of {', '.join(f'{name}.json' for name in sections.SECTIONS)}"
        )
    (options.docs / "performance").mkdir(parents=True, exist_ok=True)
    for name, drawing in plots(results).items():
        (options.docs / "performance" / name).write_text(drawing)
    (options.docs / "performance.md").write_text(document(results))
    print(f"wrote {options.docs / 'performance.md'} from {', '.join(results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
