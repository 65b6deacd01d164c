"""What callbacks are told, and when: a flag that is another one, or that gives an entity something else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.evaluation import EvalResult, Ruleset
    from ..core.model import Flag


@dataclass(frozen=True, slots=True)
class FlagChange:
    """A flag that is another one now.

    Attributes:
        flag_key: its key; a flag that was renamed has left one and come under another.
        old: the flag before; None when there was none.
        new: the flag now; None when it is gone.
    """

    flag_key: str
    old: Flag | None
    new: Flag | None


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A flag that gives an entity something else now.

    Attributes:
        flag_key: its key.
        old: what it gave before.
        new: what it gives now.
    """

    flag_key: str
    old: EvalResult
    new: EvalResult


def differences(before: Ruleset, after: Ruleset, keys: Collection[str] | None) -> Iterator[FlagChange]:
    """Yield what is different, by key; of these keys only, unless they are None."""
    old, new = before.snapshot.flags, after.snapshot.flags
    for key in sorted(old.keys() | new.keys() if keys is None else keys):
        was, now = old.get(key), new.get(key)
        if was is not now and was != now:
            yield FlagChange(key, was, now)


class OnChange:
    """Calls back for every flag, or for one of them."""

    def __init__(self, callback: Callable[[FlagChange], Any], flag_key: str | None = None) -> None:
        self._callback = callback
        self._flag_key = flag_key

    def __call__(self, _before: Ruleset, _after: Ruleset, changes: list[FlagChange]) -> Any:
        """Take the net change."""
        wanted = [change for change in changes if self._flag_key in (None, change.flag_key)]
        return each_of(self._callback, wanted)

    def __repr__(self) -> str:
        return repr(self._callback)


class OnValueChange:
    """Calls back when a flag gives an entity something else."""

    def __init__(
        self,
        callback: Callable[[ValueChange], Any],
        flag_key: str,
        entity_id: str,
        entity_context: Mapping[str, Any] | None,
    ) -> None:
        self._callback = callback
        self._flag_key = flag_key
        self._entity_id = entity_id
        self._entity_context = entity_context

    def __call__(self, before: Ruleset, after: Ruleset, changes: list[FlagChange]) -> Any:
        """Take the net change."""
        if all(change.flag_key != self._flag_key for change in changes):
            return None
        old = before.evaluate(self._flag_key, self._entity_id, self._entity_context)
        new = after.evaluate(self._flag_key, self._entity_id, self._entity_context)
        if (old.variant_key, old.variant_attachment) == (new.variant_key, new.variant_attachment):
            return None
        return self._callback(ValueChange(self._flag_key, old, new))

    def __repr__(self) -> str:
        return repr(self._callback)


def each_of(callback: Callable[[FlagChange], Any], changes: list[FlagChange]) -> Any:
    """Call back for each change; one that fails keeps none of the others from being told."""
    awaitables, failures = [], []
    for change in changes:
        try:
            returned = callback(change)
        except Exception as exc:  # noqa: BLE001 - raised below
            failures.append(exc)
        else:
            if hasattr(returned, "__await__"):
                awaitables.append(returned)
    if failures:
        # The first says enough; the count of changes that failed is in its note.
        failures[0].add_note(f"flagent: the callback failed for {len(failures)} of {len(changes)} changes")
    return _all(awaitables, failures)


def _all(awaitables: list[Any], failures: list[Exception]) -> Any:
    if not awaitables:
        if failures:
            raise failures[0]
        return None

    async def wait() -> None:
        for each in awaitables:
            try:
                await each
            except Exception as exc:  # noqa: BLE001 - raised below
                failures.append(exc)
        if failures:
            raise failures[0]

    return wait()
