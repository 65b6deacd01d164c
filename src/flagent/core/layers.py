"""A mapping that shares nearly everything with the one that it was made from, so that one change of many costs little.

Copying a dictionary of 10,000 flags touches every one of them, which takes much longer than all the rest of a change.
So a few changes lie above a dictionary that is shared; they are put together once there are many of them, or when
somebody wants to go through all.
"""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Final, TypeVar, overload

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")

#: The most changes that lie above: copying them takes two microseconds.
_MOST = 100
_BELOW: Final = object()
_GONE: Final = object()


class Layered(Mapping[_K, _V]):
    """A mapping that is never altered.

    Args:
        base: what is in it; must not be altered either.
    """

    __slots__ = ("_layers",)

    def __init__(self, base: Mapping[_K, _V]) -> None:
        # One reference, replaced as a whole: whoever reads has layers that fit together.
        self._layers: tuple[Mapping[_K, _V], Mapping[_K, Any]] = (base, {})

    @classmethod
    def of(cls, mapping: Mapping[_K, _V]) -> Layered[_K, _V]:
        """Return the mapping as one of these."""
        return mapping if isinstance(mapping, Layered) else cls(mapping)

    def altered(self, puts: Mapping[_K, _V], gone: Collection[_K]) -> Layered[_K, _V]:
        """Return the mapping without the keys that are gone, and then with what is put in."""
        base, above = self._layers
        if len(above) > _MOST:
            base, above = self._whole(), {}
        following = Layered(base)
        following._layers = (base, {**above, **dict.fromkeys(gone, _GONE), **puts})
        return following

    @overload
    def get(self, key: _K, /) -> _V | None: ...
    @overload
    def get(self, key: _K, /, default: _V | _T) -> _V | _T: ...
    def get(self, key: _K, /, default: Any = None) -> Any:
        """Return what is there for a key, else `default`."""
        base, above = self._layers
        found = above.get(key, _BELOW)
        if found is _BELOW:
            return base.get(key, default)
        return default if found is _GONE else found

    def __getitem__(self, key: _K) -> _V:
        found: Any = self.get(key, _GONE)
        if found is _GONE:
            raise KeyError(key)
        value: _V = found
        return value

    def __contains__(self, key: object) -> bool:
        found: Any = self.get(key, _GONE)  # type: ignore[arg-type]
        return found is not _GONE

    def __iter__(self) -> Iterator[_K]:
        return iter(self._whole())

    def __len__(self) -> int:
        return len(self._whole())

    def keys(self) -> KeysView[_K]:
        """Return the keys."""
        return self._whole().keys()

    def values(self) -> ValuesView[_V]:
        """Return the values."""
        return self._whole().values()

    def items(self) -> ItemsView[_K, _V]:
        """Return keys and values."""
        return self._whole().items()

    def __repr__(self) -> str:
        return repr(self._whole())

    def _whole(self) -> Mapping[_K, _V]:
        base, above = self._layers
        if above:
            whole = {**base, **above}
            if _GONE in above.values():
                whole = {key: value for key, value in whole.items() if value is not _GONE}
            self._layers = (whole, {})
            return whole
        return base
