"""Rules of the product, each broken on purpose: whether the simulator would notice if somebody broke one by mistake.

A mutation replaces one method, function or constant. A new rule gets one: write what breaks it, and find out with
`python -m tests.simulator --mutation NAME --seeds 500` which seeds notice. If none does, the invariants have a hole.
"""

from __future__ import annotations

from . import client_mutations, server_mutations
from .mutation import MUTATIONS, Mutation

__all__ = ["MUTATIONS", "Mutation", "client_mutations", "server_mutations"]
