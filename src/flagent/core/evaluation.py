"""A ruleset: a snapshot compiled for evaluation. Any thread may evaluate on it at any time.

Evaluation takes no lock, does no I/O and never raises. Flags are compiled when they are first evaluated; the ruleset
that follows a change takes over what was compiled, except for what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import compress
from operator import is_, is_not
from typing import Any

from msgspec.structs import replace

from .changes import Change, Delta, Snapshot
from .compiled import Decider, decider
from .everything import Everything
from .interpreter import Interpreter, id_text
from .model import Flag
from .results import EvalResult, Reason, SegmentLog
from .texts import text

#: What decides for a flag, beside the flag that it was made for.
Made = dict[str, tuple[Flag, Decider]]

#: The most deciders that are copied.
_FEW = 100

__all__ = ["Deciders", "EvalResult", "Reason", "Ruleset", "SegmentLog"]


class Deciders:
    """What decides for each flag, by key; made when it is first asked for.

    Args:
        flags: the flags, by key.
        absent: returns what decides for a key without a flag.
        made: what was made for flags of this ruleset and of others that precede or follow it, with the flags that it
            was made for. It is shared, and each entry is checked against the flag at hand: no lock is needed.

    Attributes:
        absent: see above.
        made: see above.
        ready: what was asked for; a plain dict, which the interpreter looks up quicker than anything else.
    """

    __slots__ = ("_flags", "absent", "made", "ready")

    def __init__(self, flags: Mapping[str, Flag], absent: Callable[[Any], Decider], made: Made | None = None) -> None:
        self._flags = flags
        self.absent = absent
        self.made: Made = {} if made is None else made
        self.ready: dict[str, Decider] = {}

    def find(self, key: Any) -> Decider:
        """Return what decides for a key.

        Raises:
            TypeError: the key can't be hashed.
        """
        found = self.ready.get(key)
        if found is not None:
            return found
        flag = self._flags.get(key)
        if flag is None:
            return self.absent(key)
        decide = self.ready[flag.key] = self._of(flag)
        return decide

    def after(self, flags: Mapping[str, Flag], changed: Collection[str]) -> Deciders:
        """Return those of the flags that follow, of which only these keys may have another one.

        What changed is made now if it was before: whoever evaluates the flag shall not wait.
        """
        following = Deciders(flags, absent, self.made)
        # Copying thousands takes longer than looking again for those that are needed.
        if len(self.ready) <= _FEW:
            following.ready = self.ready.copy()
        for key in changed:
            following.ready.pop(key, None)
            flag = flags.get(key)
            if flag is None:
                self.made.pop(key, None)
            elif key in self.made:
                following.ready[key] = following._of(flag)
        return following

    def replaced(self, flags: Mapping[str, Flag], altered: Iterable[str]) -> Deciders:
        """Return those of the flags of another snapshot, of which only these keys may have another one, or none."""
        for key in altered:
            self.made.pop(key, None)
        if len(self.made) > len(flags):
            # Made again by whoever still evaluates on a snapshot that had them.
            for key in self.made.copy().keys() - flags.keys():
                self.made.pop(key, None)
        return Deciders(flags, absent, self.made)

    def _of(self, flag: Flag) -> Decider:
        made = self.made.get(flag.key)
        if made is None or made[0] is not flag:
            # Two threads may make it at the same time, which does no harm.
            made = self.made[flag.key] = (flag, decider(flag))
        return made[1]


class Ruleset:
    """A snapshot that can be evaluated; never altered, replaced by the one that follows it.

    Attributes:
        snapshot: the flags.
        deciders: what decides for each flag.
        ready: those that were asked for before, for callers that need no result of their own: a call with an entity's
            id and a context, as `evaluate` takes them, returns a result without the entity's id. `decider` has those
            that are not there.
    """

    __slots__ = ("_everything", "deciders", "ready", "snapshot")

    def __init__(self, snapshot: Snapshot, deciders: Deciders) -> None:
        self.snapshot = snapshot
        self.deciders = deciders
        self.ready = deciders.ready
        self._everything: Everything | None = None

    @classmethod
    def compile(cls, snapshot: Snapshot) -> Ruleset:
        """Return the ruleset of a snapshot."""
        return Ruleset(snapshot, Deciders(snapshot.flags, absent))

    def after(self, update: Change | Delta, *, verify: bool = True) -> Ruleset:
        """Return the ruleset that `update` leads to; only what changed is compiled anew.

        Raises:
            Diverged: see `Snapshot.after`.
        """
        return self.leading_to(self.snapshot.after(update, verify=verify), update)

    def leading_to(self, snapshot: Snapshot, update: Change | Delta) -> Ruleset:
        """Return the ruleset of the snapshot that `update` leads to, which is known already."""
        return Ruleset(snapshot, self.deciders.after(snapshot.flags, self.snapshot.keys_in(update)))

    def replaced(self, snapshot: Snapshot) -> Ruleset:
        """Return the ruleset of another snapshot, keeping what is the same in both."""
        befores, flags = self.snapshot.flags, snapshot.flags
        altered = _altered(befores, flags)
        same = {key: before for key in altered if (before := befores.get(key)) is not None and before == flags.get(key)}
        if same:
            snapshot = replace(snapshot, flags={**snapshot.flags, **same})
            altered.difference_update(same)
        return Ruleset(snapshot, self.deciders.replaced(snapshot.flags, altered))

    def flag(self, key: str) -> Flag | None:
        """Return the flag of that key, or None."""
        try:
            return self.snapshot.flags.get(key)
        except TypeError:
            return None  # a key that can't even be hashed

    def decider(self, key: str) -> Decider:
        """Return what decides for the flag of that key, also when there is none."""
        try:
            return self.deciders.find(key)
        except TypeError:
            return self.deciders.absent(key)

    def evaluate(
        self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None, *, debug: bool = False
    ) -> EvalResult:
        """Return what the flag of that key is for an entity; never raises.

        Args:
            flag_key: key of the flag; an unknown one gives `FLAG_NOT_FOUND`.
            entity_id: who; decides the bucket. Numbers and other values count by their text form, and
                None as an empty text, which matches no segment.
            entity_context: what constraints look at; None for nothing. What is no mapping, or raises
                when it is read, gives `ERROR`.
            debug: whether to log what each segment said.
        """
        try:
            result = self.ready[flag_key](entity_id, entity_context)
        except (KeyError, TypeError):
            result = self.decider(flag_key)(entity_id, entity_context)
        if debug and (flag := self.flag(flag_key)) is not None:
            return Interpreter(flag).evaluate(entity_id, entity_context, debug=True)
        return replace(result, entity_id=entity_id if type(entity_id) is str else id_text(entity_id))

    def evaluate_id(
        self, flag_id: int, entity_id: str, entity_context: Mapping[str, Any] | None = None, *, debug: bool = False
    ) -> EvalResult:
        """Return what the flag of that id is for an entity; otherwise like `evaluate`."""
        try:
            key = self.snapshot.keys.get(flag_id)
        except TypeError:
            key = None
        if key is None:
            message = f"flagID {text(flag_id)} not found or deleted"
            return EvalResult("", Reason.FLAG_NOT_FOUND, entity_id=id_text(entity_id), message=message)
        return self.evaluate(key, entity_id, entity_context, debug=debug)

    def evaluate_all(self, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> dict[str, EvalResult]:
        """Return the results of all flags, by key."""
        everything = self._everything
        if everything is None:
            # Two threads may make it at the same time, which does no harm.
            everything = self._everything = Everything([(key, self.deciders.find(key)) for key in self.snapshot.flags])
        return everything.evaluate(entity_id, entity_context)


def absent(key: object) -> Decider:
    """Return what decides where there is no flag of that key."""
    name = text(key) or ""
    result = EvalResult(name, Reason.FLAG_NOT_FOUND, message=f"flagKey {name} not found or deleted")
    return lambda _entity_id, _context: result


def _altered(befores: Mapping[str, Flag], flags: Mapping[str, Flag]) -> set[str]:
    """Return the keys under which another object is in one mapping than in the other, or nothing."""
    before_keys, keys = befores.keys(), flags.keys()
    if len(before_keys) == len(keys) and all(map(is_, before_keys, keys)):
        # Read by a `SnapshotReader`, as nearly always, they stand in the same places; to look each of them up would
        # take ten times as long.
        return set(compress(keys, map(is_not, befores.values(), flags.values())))
    altered = set(compress(keys, map(is_not, map(befores.get, keys), flags.values())))
    altered.update(before_keys - keys)
    return altered
