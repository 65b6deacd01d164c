"""Flags that tests set: layers of values over whatever a manager holds.

A layer is seen by the thread or task that made it, by tasks that it starts, and by everybody else in the process who
has no layer of its own for that flag: the program under test may evaluate in threads that know nothing of the test.
Layers end in any order, and one that has ended is seen by nobody, wherever it was copied to.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from itertools import count
from typing import Any

from msgspec.structs import replace

from ..core.changes import Snapshot
from ..core.compiled import Decider
from ..core.evaluation import Deciders, EvalResult, Ruleset, absent
from ..core.given import flag_of
from ..core.model import Flag
from ..core.texts import text

#: Rulesets that are kept at most, for tests that go from one to another and back.
_MOST_KEPT = 32


class UnknownFlag(AssertionError):
    """The program evaluated a flag that the test says nothing about."""


class Layer:
    """Values of flags, by key.

    Attributes:
        only_here: whether nobody sees it but the thread or task that made it, and tasks that this starts.
        ended: whether nobody is to see it any more.
        number: names it.
        version: grows with each change of its values.
    """

    def __init__(self, values: Mapping[str, Any], *, only_here: bool) -> None:
        self.only_here = only_here
        self.ended = False
        self.number = next(_numbers)
        self.version = 0
        self._values: dict[str, Any] = {}
        for key, value in values.items():
            self.set(key, value)

    @property
    def values(self) -> Mapping[str, Any]:
        """The values."""
        return self._values

    def set(self, key: str, value: Any) -> None:
        """Let a flag have a value.

        Raises:
            ConfigurationError: the key or the value can't be those of a flag.
        """
        flag_of(key, value)
        self._values = {**self._values, key: value}
        self.version += 1

    def remove(self, key: str) -> None:
        """Let a flag be what it is without this layer.

        Raises:
            KeyError: the layer has no value for it.
        """
        self._values = {name: value for name, value in self._values.items() if name != key}
        self.version += 1


_numbers = count(1)
# Guards the next one, for the time that it takes to replace it.
_lock = threading.Lock()
_everywhere: tuple[Layer, ...] = ()
_here: ContextVar[tuple[Layer, ...]] = ContextVar("flagent.testing", default=())


def begin(layer: Layer) -> None:
    """Let the layer be seen, above those that are."""
    global _everywhere
    _here.set((*(each for each in _here.get() if not each.ended), layer))
    if not layer.only_here:
        with _lock:
            _everywhere = (*_everywhere, layer)


def end(layer: Layer) -> None:
    """Let nobody see the layer any more."""
    global _everywhere
    layer.ended = True
    _here.set(tuple(each for each in _here.get() if not each.ended))
    with _lock:
        _everywhere = tuple(each for each in _everywhere if not each.ended)


def seen() -> tuple[Layer, ...]:
    """Return the layers that whoever calls this sees; a later one hides what it has a value for."""
    # Those of others first: one's own hide them.
    here = tuple(each for each in _here.get() if not each.ended)
    others = tuple(each for each in _everywhere if each not in here)
    return others + here


class OverriddenRuleset(Ruleset):
    """A ruleset as tests want it.

    Args:
        base: what is held without them.
        values: what tests say, by key.
        unknown: called with the key of each flag that is evaluated and not there; None for nobody.

    Attributes:
        base: see above.
        off: keys of the flags that tests have switched off.
        unknown: see above.
    """

    __slots__ = ("base", "off", "unknown")

    def __init__(self, base: Ruleset, values: Mapping[str, Any], unknown: UnknownListener | None) -> None:
        snapshot = _overridden(base.snapshot, values)
        super().__init__(snapshot, Deciders(snapshot.flags, self._decider_of_unknown))
        self.base = base
        below = base if isinstance(base, OverriddenRuleset) else None
        off = frozenset(key for key, value in values.items() if value is False)
        self.off: frozenset[str] = off if below is None else off | (below.off - values.keys())
        # A manager in memory says by itself what unknown flags are.
        self.unknown: UnknownListener | None = unknown if below is None else below.unknown

        for key in self.off & snapshot.flags.keys():
            self.ready[key] = _false(self.decider(key))

    def evaluate(
        self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None, *, debug: bool = False
    ) -> EvalResult:
        """Return what the flag is for an entity.

        Raises:
            UnknownFlag: there is no such flag, and somebody is to be told.
        """
        result = super().evaluate(flag_key, entity_id, entity_context, debug=debug)
        # Debug logs are not made by what decides otherwise.
        return replace(result, variant_attachment=_FALSE) if debug and result.flag_key in self.off else result

    def _decider_of_unknown(self, key: object) -> Decider:
        if self.unknown is not None:
            self.unknown(text(key) or "")
        return absent(key)


_FALSE = {"value": False}


def _false(decide: Decider) -> Decider:
    """Return what decides as before, but says that the value is False also to those who would take another default."""
    return lambda entity_id, context: replace(decide(entity_id, context), variant_attachment=_FALSE)


class UnknownListener:
    """Remembers the flags that were evaluated and not there, and raises at once."""

    def __init__(self, way_out: str) -> None:
        self._way_out = way_out
        self._keys: list[str] = []

    def __call__(self, key: str) -> None:
        """Take the key of such a flag."""
        self._keys.append(key)
        raise self.error(key)

    def error(self, key: str) -> UnknownFlag:
        """Return what to raise."""
        return UnknownFlag(f"the test says nothing about flag {key!r}: {self._way_out}")

    def taken(self) -> list[str]:
        """Return the keys, and forget them."""
        keys, self._keys = self._keys, []
        return keys


_EMPTY = Ruleset.compile(Snapshot.of("", 0, ()))
# By what they were made from; a race makes one twice, which does no harm.
_made: dict[object, OverriddenRuleset] = {}


def ruleset_seen(base: Ruleset | None, unknown: UnknownListener | None) -> Ruleset | None:
    """Return what whoever calls this evaluates on, where a manager holds `base`."""
    layers = seen()
    if not layers and unknown is None:
        return base
    held = _EMPTY if base is None else base
    name = (id(held), unknown, tuple((layer.number, layer.version) for layer in layers))
    made = _made.get(name)
    if made is None or made.base is not held:
        if len(_made) >= _MOST_KEPT:
            _made.clear()
        values = {key: value for layer in layers for key, value in layer.values.items()}
        made = _made[name] = OverriddenRuleset(held, values, unknown)
    return made


def _overridden(snapshot: Snapshot, values: Mapping[str, Any]) -> Snapshot:
    flags = {**snapshot.flags, **{flag.key: flag for flag in _flags(snapshot, values)}}
    return Snapshot.of(snapshot.epoch, snapshot.revision, flags.values())


def _flags(snapshot: Snapshot, values: Mapping[str, Any]) -> Iterator[Flag]:
    for key, value in values.items():
        # With the id that it has, so that it is found by that, too.
        held = snapshot.flags.get(key)
        yield flag_of(key, value, None if held is None else held.id)
