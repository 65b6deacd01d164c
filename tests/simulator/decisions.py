"""What somebody may decide to change."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from flagent.core import edits
from flagent.core.changes import EventType, Snapshot
from flagent.core.edits import Edit, FlagPatch
from flagent.core.ids import Allocator

#: Flags at most; few, so that the same ones change again and again.
_MOST_FLAGS = 8


def some_edit(chance: random.Random) -> Callable[[Snapshot, Allocator], Sequence[Edit]]:
    """Return a decision to change some flag."""
    kind, number, percent = chance.choice(_KINDS), chance.random(), chance.randint(0, 100)
    description = "x" * chance.choice((0, 10, 400))

    def decide(snapshot: Snapshot, ids: Allocator) -> Sequence[Edit]:
        flags = sorted(snapshot.flags.values(), key=lambda flag: flag.id)
        if not flags or (kind == "create" and len(flags) < _MOST_FLAGS):
            key = f"flag{snapshot.revision + 1}.{ids.ids.flag}"
            created = edits.create_flag(ids, key=key, description=description, template="simple_boolean_flag")
            return [Edit(replace(created.flag, enabled=True), created.type)]
        flag = flags[int(number * len(flags))]
        if kind == "delete":
            return [edits.delete_flag(flag, permanent=True)]
        if kind == "rename":
            return [edits.update_flag(flag, FlagPatch(key=f"flag{flag.id}.{snapshot.revision}"))]
        if kind == "roll out" and flag.segments:
            segment = replace(flag.segments[0], rollout_percent=percent)
            return [Edit(replace(flag, segments=(segment,)), EventType.SEGMENT_UPDATED)]
        return [edits.enable_flag(flag, not flag.enabled)]

    return decide


_KINDS = ("create", "create", "toggle", "toggle", "rename", "roll out", "delete")
