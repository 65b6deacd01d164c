"""Making a schedule that fails smaller, and saying how to run it again."""

from __future__ import annotations

from collections.abc import Sequence

from .run import run
from .schedule import Step, schedule


def failure(seed: int, steps: Sequence[Step] | None = None) -> AssertionError | None:
    """Return how a schedule fails, or None if it does not."""
    try:
        run(seed, steps)
    except AssertionError as exc:
        return exc
    return None


def smallest(seed: int, steps: Sequence[Step], problem: BaseException) -> list[int]:
    """Return the places of few of the steps that fail in the same way: no one of them can be left out."""
    kept = list(range(len(steps)))
    size = max(1, len(kept) // 2)
    while size:
        place = 0
        while place < len(kept):
            fewer = kept[:place] + kept[place + size :]
            found = failure(seed, [steps[each] for each in fewer])
            if found is not None and _invariant(found) == _invariant(problem):
                kept = fewer
            else:
                place += size
        size //= 2
    return kept


def report(seed: int, problem: BaseException) -> str:
    """Return what to say about a schedule that fails: its smallest form, and the command that runs that."""
    steps = schedule(seed)
    kept = smallest(seed, steps, problem)
    names = ", ".join(f"{steps[each].kind} ({steps[each].pause:g} s)" for each in kept) or "none"
    chosen = ",".join(map(str, kept)) or "none"
    return (
        f"seed {seed}: {problem}\n  steps: {names}\n  python -m tests.simulator --seed {seed} --keep {chosen} --trace"
    )


def _invariant(problem: BaseException) -> str:
    return str(problem).partition(":")[0]
