"""`python -m soak`: run a soak, and write its report as JSON and as a plot."""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from .plot import Line, plot
from .run import Soak

_MB = 2**20


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 < hours < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of hours above 0")
    return hours


def _clients(text: str) -> int:
    count = int(text)
    if count < 4:
        raise argparse.ArgumentTypeError(f"{text} are too few: there is at least one in each of four processes")
    return count


def drawing(report: dict[str, Any]) -> str:
    """Return the report as a plot."""

    def used(what: str, unit: float = 1.0) -> dict[str, Line]:
        return {name: [(at, numbers[what] / unit) for at, numbers in looks] for name, looks in report["used"].items()}

    finite: Line = [(at, value) for at, value in report["staleness"] if math.isfinite(value)]
    panels = {
        "seconds of staleness": {"of the stalest client": finite},
        "MB of memory": used("resident", _MB),
        "threads": used("threads"),
        "descriptors": used("descriptors"),
    }
    shaded = [(begin, end) for begin, end, _ in report["happened"]]
    title = (
        f"{report['clients']} clients, {report['changes']} changes, {sum(report['faults'].values())} faults (shaded)"
    )
    return plot(title, panels, shaded, report["seconds"])


def told(line: str) -> None:
    """Print a line for people."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Run a soak; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--hours", type=_hours, default=1.0, help="how long (1)")
    parser.add_argument("--clients", type=_clients, default=200, help="how many, in four processes (200)")
    parser.add_argument("--seed", type=int, default=None, help="decides about the faults (drawn)")
    parser.add_argument("--report", type=Path, default=Path("soak"), help="name of the report, without ending (soak)")
    arguments = parser.parse_args()
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    told(f"seed {seed}")
    # Whoever ends it gets its report, and leaves no process behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="flagent-soak-") as folder:
        soak = Soak(Path(folder), seconds=arguments.hours * 3600, count=arguments.clients, seed=seed)
        report = soak.run(told)
    long = {"calms", "used", "staleness", "happened"}
    short = json.dumps({name: value for name, value in report.items() if name not in long}, indent=2)
    arguments.report.with_suffix(".json").write_text(short + "\n")
    arguments.report.with_suffix(".full.json").write_text(json.dumps(report))
    arguments.report.with_suffix(".svg").write_text(drawing(report))
    print(short)
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
