"""What can be set, as frozen values: dataclasses that are made without `dataclasses`.

Loading that, with `inspect`, and letting it write methods takes as long as all the rest of importing a manager. So what
a manager is made of has its methods from here, and whoever asks for it as a dataclass finds one: `dataclasses.replace`,
`fields` and `asdict` work, and so do `copy.replace`, `inspect.signature`, pickling and copying.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from dataclasses import Field
    from inspect import Signature


class _Made:
    """An attribute of a class that is made when it is asked for.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[type[Frozen]], Any]) -> None:
        self._make = make

    def __get__(self, _frozen: Frozen | None, kind: type[Frozen]) -> Any:
        return self._make(kind)


def _signature_of(kind: type[Frozen]) -> Signature:
    from inspect import signature

    return signature(_dataclass_like(kind))


def _dataclass_like(kind: type[Frozen]) -> Any:
    from dataclasses import MISSING, field, make_dataclass

    # What belongs to each class is nobody's business but this module's.
    annotations, secret = kind._annotations, kind._secret  # noqa: SLF001
    fields = [
        (name, annotation, field(default=getattr(kind, name, MISSING), repr=name not in secret))
        for name, annotation in annotations.items()
    ]
    return make_dataclass(kind.__name__, fields, frozen=True, kw_only=True)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Frozen:
    """Values by name, given as keywords, frozen, and compared by value.

    A subclass annotates them, in their order, with defaults that can be shared; `__post_init__` checks them.
    """

    __match_args__ = ()

    #: Of each value, by its name.
    _annotations: ClassVar[dict[str, Any]] = {}
    #: Names of values that are never shown.
    _secret: ClassVar[frozenset[str]] = frozenset()

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    else:
        # What `dataclasses` and `inspect` look at.
        __dataclass_fields__ = _Made(lambda kind: _dataclass_like(kind).__dataclass_fields__)
        __dataclass_params__ = _Made(lambda kind: _dataclass_like(kind).__dataclass_params__)
        __signature__ = _Made(_signature_of)

    def __init_subclass__(cls) -> None:
        # They are texts, as everywhere in this package.
        own = {name: each for name, each in cls.__annotations__.items() if "ClassVar" not in str(each)}
        cls._annotations = cls._annotations | own

    def __init__(self, *unnamed: Any, **values: Any) -> None:
        kind = type(self)
        if unnamed:
            raise TypeError(
                f"{kind.__name__}() takes keyword arguments only, such as {next(iter(self._annotations))}=…"
            )
        for name in self._annotations:
            try:
                value = values.pop(name) if name in values else getattr(kind, name)
            except AttributeError:
                raise TypeError(f"{kind.__name__}() needs the keyword argument {name!r}") from None
            object.__setattr__(self, name, value)
        if values:
            raise TypeError(f"{kind.__name__}() got an unexpected keyword argument {next(iter(values))!r}")
        self.__post_init__()

    def __post_init__(self) -> None:
        """Refuse values that can't be used."""

    def __setattr__(self, name: str, value: object) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        """Yield what may be shown; Rich asks for it, also for its tracebacks."""
        return ((name, getattr(self, name)) for name in self._annotations if name not in self._secret)

    def __replace__(self, /, **changes: Any) -> Self:
        """Return these values with others instead of some of them."""
        return type(self)(**{name: getattr(self, name) for name in self._annotations} | changes)

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._annotations)
