"""The garbage collector of a server: it has nothing to find, and must not look for it in the middle of a fan-out.

A server lives with many objects that stay: flags and their compiled rules, modules, open streams. A full collection
visits each of them and stops everything meanwhile; with the defaults of CPython one begins whenever 70,000 objects were
made and are still there, which ten thousand streams do by being opened. In servers that have a task per stream that was
worth up to 2.2 times the CPU and 5 times the slowest delivery.

What refers to each other in a circle and has to be found is rare here: exceptions with their frames, tasks that were
cancelled. `Taken` and `Takeover` break their circles themselves, so streams that come and go leave nothing to collect.
"""

from __future__ import annotations

import gc

#: Young objects until the youngest generation is looked at, and how many such looks until the next older one is, and
#: from there the oldest: once in fifty million objects, and then only if it has grown by a quarter.
_THRESHOLDS = (50_000, 20, 50)


def settle() -> None:
    """Leave out what is there now from all collections to come, and collect seldom; called when a server is ready."""
    gc.collect()
    # Survivors of start-up are never freed, and forked workers share their pages as long as nobody writes to them.
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
