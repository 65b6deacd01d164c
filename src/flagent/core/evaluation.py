"""A ruleset: a snapshot compiled for evaluation. Any thread may evaluate on it at any time.

Evaluation takes no lock, does no I/O and never raises. Flags are compiled when they are first
evaluated; the compiled forms are shared by all rulesets that follow each other, and each remembers
the very flag that it was made from, so that one made from another state is never used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from .bucketing import bucket, in_rank_order, place
from .changes import Change, Delta, Snapshot
from .constraints import Predicate, compile_constraint, text
from .model import Flag, Segment
from .results import EvalResult, Reason, SegmentLog

__all__ = ["EvalResult", "Reason", "Ruleset", "SegmentLog"]

_NO_CONTEXT: Mapping[str, Any] = {}


class CompiledFlag:
    """A flag with its segments in order and their constraints as predicates."""

    __slots__ = ("_segments", "_variants", "flag")

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        self._segments: tuple[tuple[Segment, tuple[Predicate, ...]], ...] = tuple(
            (segment, tuple(map(compile_constraint, segment.constraints))) for segment in in_rank_order(flag)
        )
        self._variants = {variant.id: variant for variant in flag.variants}

    def evaluate(self, entity_id: str, context: Mapping[str, Any], debug: bool) -> EvalResult:
        """Return what the flag is for this entity."""
        flag = self.flag
        if not flag.enabled:
            return self._nothing(entity_id, Reason.FLAG_DISABLED, f"flagID {flag.id} is not enabled")
        if not self._segments:
            return self._nothing(entity_id, Reason.NO_SEGMENTS, f"flagID {flag.id} has no segments")
        return self._walk(entity_id, context, debug)

    def _walk(self, entity_id: str, context: Mapping[str, Any], debug: bool) -> EvalResult:
        flag, logs = self.flag, []
        number = bucket(flag.id, entity_id)
        for segment, predicates in self._segments:
            if not all(holds(context) for holds in predicates):
                if debug:
                    logs.append(SegmentLog(segment.id, f"segment_id {segment.id} did not match constraints"))
                continue
            # Without an id there is no bucket of one's own: all the nameless would share one.
            placement = place(segment, flag.rollout, number) if entity_id else None
            if placement is not None and placement.variant_id is not None:
                if debug:
                    said = f"matched all constraints. rollout yes. variantID: {placement.variant_id}"
                    logs.append(SegmentLog(segment.id, said))
                return self._match(entity_id, segment.id, placement.variant_id, tuple(logs))
            if debug:
                logs.append(SegmentLog(segment.id, "matched all constraints. rollout no."))
            if placement is not None and placement.final:
                break
        return self._nothing(entity_id, Reason.NO_MATCH, logs[0].msg if logs else "", tuple(logs))

    def _match(
        self, entity_id: str, segment_id: int, variant_id: int, debug_logs: tuple[SegmentLog, ...]
    ) -> EvalResult:
        flag, variant = self.flag, self._variants.get(variant_id)
        return EvalResult(
            flag.key,
            Reason.MATCH,
            flag.id,
            flag.snapshot_id,
            entity_id,
            None if variant is None else variant.key,
            variant_id,
            None if variant is None else variant.attachment,
            segment_id,
            debug_logs,
            debug_logs[0].msg if debug_logs else "",
        )

    def _nothing(
        self, entity_id: str, reason: Reason, message: str, debug_logs: tuple[SegmentLog, ...] = ()
    ) -> EvalResult:
        flag = self.flag
        return EvalResult(
            flag.key, reason, flag.id, flag.snapshot_id, entity_id, debug_logs=debug_logs, message=message
        )


class Ruleset:
    """A snapshot that can be evaluated; never altered, replaced by the one that follows it."""

    __slots__ = ("_compiled", "snapshot")

    def __init__(self, snapshot: Snapshot, compiled: dict[str, CompiledFlag]) -> None:
        self.snapshot = snapshot
        # Shared with the rulesets before and after: writes are idempotent, and each entry is checked
        # against the flag at hand, so that no lock is needed.
        self._compiled = compiled

    @classmethod
    def compile(cls, snapshot: Snapshot) -> Ruleset:
        """Return the ruleset of a snapshot."""
        return cls(snapshot, {})

    def after(self, update: Change | Delta, *, verify: bool = True) -> Ruleset:
        """Return the ruleset that `update` leads to; only what changed is compiled anew.

        Raises:
            Diverged: see `Snapshot.after`.
        """
        following = Ruleset(self.snapshot.after(update, verify=verify), self._compiled)
        for ref in update.deleted if isinstance(update, Delta) else ():
            following._forget(ref.key)
        if isinstance(update, Change):
            following._forget(update.previous_key or update.flag_key)
        return following

    def replaced(self, snapshot: Snapshot) -> Ruleset:
        """Return the ruleset of another snapshot, keeping what is the same in both."""
        held = self.snapshot.flags
        flags = {key: held[key] if held.get(key) == flag else flag for key, flag in snapshot.flags.items()}
        kept = {key: entry for key, entry in self._compiled.copy().items() if entry.flag is flags.get(key)}
        return Ruleset(replace(snapshot, flags=flags), kept)

    def flag(self, key: str) -> Flag | None:
        """Return the flag of that key, or None."""
        return self.snapshot.flags.get(key)

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
            flag = self.snapshot.flags.get(flag_key)
        except TypeError:
            flag = None  # a key that can't even be hashed
        if flag is None:
            key = text(flag_key) or ""
            return EvalResult(
                key, Reason.FLAG_NOT_FOUND, entity_id=_id_text(entity_id), message=f"flagKey {key} not found or deleted"
            )
        return self._evaluate(flag, entity_id, entity_context, debug)

    def evaluate_id(
        self, flag_id: int, entity_id: str, entity_context: Mapping[str, Any] | None = None, *, debug: bool = False
    ) -> EvalResult:
        """Return what the flag of that id is for an entity; otherwise like `evaluate`."""
        try:
            flag = self.snapshot.by_id(flag_id)
        except TypeError:
            flag = None
        if flag is None:
            message = f"flagID {text(flag_id)} not found or deleted"
            return EvalResult("", Reason.FLAG_NOT_FOUND, entity_id=_id_text(entity_id), message=message)
        return self._evaluate(flag, entity_id, entity_context, debug)

    def evaluate_all(self, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> dict[str, EvalResult]:
        """Return the results of all flags, by key."""
        return {
            key: self._evaluate(flag, entity_id, entity_context, debug=False)
            for key, flag in self.snapshot.flags.items()
        }

    def _evaluate(self, flag: Flag, entity_id: str, context: Mapping[str, Any] | None, debug: bool) -> EvalResult:
        compiled = self._compiled.get(flag.key)
        if compiled is None or compiled.flag is not flag:
            compiled = self._compiled[flag.key] = CompiledFlag(flag)
        entity = entity_id if type(entity_id) is str else _id_text(entity_id)
        if context is None:
            context = _NO_CONTEXT
        try:
            return compiled.evaluate(entity, context, debug)
        except Exception as exc:  # noqa: BLE001 - a foreign mapping may raise anything, and evaluation never does
            return EvalResult(
                flag.key,
                Reason.ERROR,
                flag.id,
                flag.snapshot_id,
                entity,
                message=f"context of type {type(context).__name__} can't be evaluated: {type(exc).__name__}",
            )

    def _forget(self, key: str) -> None:
        self._compiled.pop(key, None)


def _id_text(entity_id: object) -> str:
    if isinstance(entity_id, (bytes, bytearray)):
        return entity_id.decode("utf-8", "replace")
    return text(entity_id) or ""
