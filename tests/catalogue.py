"""What the tests show of the catalogue in `data/catalogue.toml`, read from their marks without running them.

`python tests/catalogue.py` writes docs/reliability.md. A test names what it shows by the mark `covers`, on itself or on
its module (`pytestmark`).
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "docs" / "reliability.md"
#: What `scripts/soak --report docs/reliability/soak` wrote last.
SOAK = TESTS.parent / "docs" / "reliability" / "soak.json"


@dataclass(frozen=True)
class Catalogue:
    """Guarantees, invariants and faults by their ids, and why some faults have no test."""

    guarantees: dict[str, str]
    invariants: dict[str, str]
    faults: dict[str, str]
    reasons: dict[str, str]
    areas: dict[str, list[int]]

    @property
    def ids(self) -> set[str]:
        """All ids."""
        return {*self.guarantees, *self.invariants, *self.faults}


def catalogue() -> Catalogue:
    """Return the catalogue."""
    return Catalogue(**tomllib.loads((TESTS / "data" / "catalogue.toml").read_text()))


@dataclass(frozen=True)
class Claim:
    """A test, and what it says that it shows."""

    path: str
    test: str
    ids: tuple[str, ...]


@cache
def claims() -> tuple[Claim, ...]:
    """Return the claims of all tests, in the order of the files."""
    return tuple(claim for path in sorted(TESTS.rglob("test_*.py")) for claim in _claims_in(path))


def _claims_in(path: Path) -> Iterator[Claim]:
    tree = ast.parse(path.read_text(), str(path))
    everywhere = tuple(
        name
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
        for name in _covered(node.value)
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            own = [name for decorator in node.decorator_list for name in _covered(decorator)]
            ids = tuple(dict.fromkeys((*own, *everywhere)))
            if ids:
                yield Claim(path.relative_to(TESTS.parent).as_posix(), node.name, ids)


def _covered(node: ast.AST) -> Iterator[str]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "covers":
            # Texts only: what would have to be worked out is refused.
            yield from map(ast.literal_eval, call.args)


def module_of(guarantee: str) -> str | None:
    """Return the path of a guarantee's module, which has its number (`test_g07_….py`); None when there is none."""
    found = sorted(TESTS.rglob(f"test_g{int(guarantee[1:]):02}_*.py"))
    return found[0].relative_to(TESTS.parent).as_posix() if found else None


def document() -> str:
    """Return the text of docs/reliability.md."""
    known, found = catalogue(), claims()
    parts = [_INTRODUCTION, "## Guarantees\n", *_guarantees(known), "\n## Invariants\n", *_invariants(known, found)]
    parts.append(_FAULTS)
    for area, (first, last) in known.areas.items():
        parts += [f"\n### {area}\n", "| Id | What goes wrong | Tests |", "|---|---|---|"]
        parts += [_fault(f"F{number:02}", known, found) for number in range(first, last + 1)]
    return "\n".join([*parts, *_soak()]) + "\n"


def _soak() -> Iterator[str]:
    """Yield what came of the last soak."""
    if not SOAK.exists():
        return
    found = json.loads(SOAK.read_text())
    yield "\n## The last soak\n"
    hours, seed, clients = found["seconds"] / 3600, found["seed"], found["clients"]
    yield f"`scripts/soak --hours {round(hours, 1):g} --seed {seed}`, with {clients} clients:\n"
    yield "| What | |"
    yield "|---|---|"
    for name, value in found.items():
        if isinstance(value, int | float) and name not in ("seed", "clients"):
            yield f"| {name.replace('_', ' ')} | {value:,} |"
    faults = ", ".join(f"{name} ({count})" for name, count in sorted(found["faults"].items()))
    yield f"| faults | {faults} |"
    yield "\n![staleness, memory, threads and descriptors over time](reliability/soak.svg)"


def _guarantees(known: Catalogue) -> Iterator[str]:
    yield "| Id | What we promise | Module |"
    yield "|---|---|---|"
    for name, said in known.guarantees.items():
        module = module_of(name)
        yield f"| {name} | {said} | {_link(Path(module).stem, module) if module else ''} |"


def _invariants(known: Catalogue, found: tuple[Claim, ...]) -> Iterator[str]:
    yield "| Id | What holds at every moment | Tests |"
    yield "|---|---|---|"
    for name, said in known.invariants.items():
        yield f"| {name} | {said} | {_tests(name, found)} |"


def _fault(name: str, known: Catalogue, found: tuple[Claim, ...]) -> str:
    return f"| {name} | {known.faults[name]} | {_tests(name, found) or known.reasons.get(name, '')} |"


def _tests(name: str, found: tuple[Claim, ...]) -> str:
    """Return links to the files whose tests cover something, with how many of them do."""
    counts: dict[str, int] = {}
    for claim in found:
        if name in claim.ids:
            counts[claim.path] = counts.get(claim.path, 0) + 1
    return ", ".join(
        _link(re.sub(r"^test_|\.py$", "", Path(path).name), path) + (f" ({count})" if count > 1 else "")
        for path, count in counts.items()
    )


def _link(text: str, path: str) -> str:
    return f"[{text}](../{path})"


_INTRODUCTION = """# What we promise, and how it is shown

This page is made of the tests: `scripts/reliability` reads which test covers what, and a test fails when the page is
out of date, when a guarantee has no module, or a fault neither a test nor a reason.

There are four kinds of proof:

* **The simulator** (`python -m tests.simulator`) runs the SDK's and the server's real code in virtual time against a
  network, disks and clocks that fail by a seed, and checks the invariants after each step. Deliberately broken rules
  show that it can fail.
* **The fault proxy** (`tests/fault_proxy`) stands between the real SDK and the real server, over TCP and TLS.
* **Processes**: servers that are killed at every boundary of a commit, full disks, locked databases, forks, signals,
  descriptors that run out; gunicorn, uWSGI, Celery, gevent and nginx as they are.
* **The soak** (`scripts/soak --hours 1`): 200 clients, a change a second, faults at random.
"""

_FAULTS = """
## Faults

Each line is something that goes wrong, and where the tests are in which it does. What has to come of it is in the
test's name. A number is how many tests of that file cover it.
"""


if __name__ == "__main__":
    DOCUMENT.write_text(document())
    print(f"docs/{DOCUMENT.name} is written", file=sys.stderr)
