"""How benchmarks speak: progress on stderr, a table for people, one JSON object for machines."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from api import Failed


def arguments(doc: str | None) -> ArgumentParser:
    """Return a parser with what all benchmarks take; the module's docstring is the help."""
    parser = ArgumentParser(description=doc, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller rounds, under two minutes")
    return parser


def progress(text: str) -> None:
    """Say what is going on."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def show(results: dict[str, Any]) -> None:
    """Print the results for machines."""
    print(json.dumps(results))


def told(measure: Callable[[], dict[str, Any]], *, as_json: bool) -> int:
    """Print what is measured, a line for each number or all as JSON; return the exit code: 1 for a wrong answer."""
    around = surroundings()
    try:
        found = measure()
    except Failed as exc:
        print(exc, file=sys.stderr)
        return 1
    if as_json:
        show({"surroundings": around, **found})
    else:
        for name, value in found.items():
            print(f"{name:>22}  {value}")
    return 0


def surroundings() -> dict[str, Any]:
    """Return where and of what the numbers are: machine, Python, time, commit, and how busy the machine was before."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": _commit(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not a checkout"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table: the first column on the left, numbers on the right."""
    cells = [list(header), *([_text(each) for each in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        first, *others = row
        right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *right]))
    return "\n".join(lines)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"
