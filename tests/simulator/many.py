"""Many schedules, in this process or in several."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from multiprocessing import get_context

from .run import run


def outcome(seed: int) -> tuple[int, AssertionError | None, Counter[str]]:
    """Return the seed, how its schedule fails, or None if it does not, and what it met."""
    try:
        return seed, None, run(seed).counts
    except AssertionError as exc:
        return seed, exc, Counter()


def outcomes(seeds: Iterable[int], jobs: int) -> Iterator[tuple[int, AssertionError | None, Counter[str]]]:
    """Yield the outcomes of seeds, in any order."""
    if jobs == 1:
        yield from map(outcome, seeds)
        return
    # Ctrl+C goes to all of them; only this process says something about it.
    with get_context("spawn").Pool(jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield from pool.imap_unordered(outcome, seeds, chunksize=20)
