"""Setting flags for a test, a block of it, or a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import wraps
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from . import interception, overrides
from .overrides import Layer

_C = TypeVar("_C", bound=Callable[..., Any])


class override(MutableMapping[str, Any]):  # noqa: N801 - it is used like a function
    """Gives flags values, for every manager of this process, while it is entered.

        with override(new_checkout=True, page_size=42):
            ...

        @override({"new-checkout": True})
        def test_checkout(): ...

        with override() as flags:
            flags["theme"] = "dark"

    A value is a boolean, a number, a text, anything else of JSON, or a `flagent.Flag` with rules. True is a flag that
    is on, False and None one that is off, and everything else what the typed methods (`int_value`, …) return; a text
    that can be the key of a variant is that, too.

    It is seen by the thread or task that entered it, by tasks that are started inside, and by all threads and tasks
    that have not overridden the same flag themselves. Several may be entered at once and left in any order.

    Args:
        values: the flags, by key.
        only_here: whether other threads, and tasks that were started before, are not to see it: for tests that run
            side by side in one process.
        more: further flags, whose keys are Python names.

    Raises:
        ConfigurationError: a key or a value can't be those of a flag.
    """

    def __init__(self, values: Mapping[str, Any] | None = None, /, *, only_here: bool = False, **more: Any) -> None:
        self._given = {**(values or {}), **more}
        self._only_here = only_here
        self._layers: list[Layer] = []
        # Checked where it is written, not where it is used.
        self._next = Layer(self._given, only_here=only_here)

    def __enter__(self) -> Self:
        interception.install()
        layer, self._next = self._next, Layer(self._given, only_here=self._only_here)
        self._layers.append(layer)
        overrides.begin(layer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        overrides.end(self._layers.pop())

    def __call__(self, function: _C) -> _C:
        """Override while the function runs; of a class, each method whose name begins with `test`."""
        if isinstance(function, type):
            for name, method in list(vars(function).items()):
                if name.startswith("test") and inspect.isfunction(method):
                    setattr(function, name, self(method))
            return cast("_C", function)
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def awaited(*args: Any, **options: Any) -> Any:
                with self._again():
                    return await function(*args, **options)

            return cast("_C", awaited)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function!r} is a generator, which runs when others do; use `with override(...)` inside")

        @wraps(function)
        def called(*args: Any, **options: Any) -> Any:
            with self._again():
                return function(*args, **options)

        return cast("_C", called)

    def __getitem__(self, key: str) -> Any:
        return self._layer.values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._layer.set(key, value)

    def __delitem__(self, key: str) -> None:
        if key not in self._layer.values:
            raise KeyError(key)
        self._layer.remove(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layer.values)

    def __len__(self) -> int:
        return len(self._layer.values)

    def __repr__(self) -> str:
        return f"override({dict(self._layer.values)!r})"

    @property
    def _layer(self) -> Layer:
        """The one that was entered last; before that, the one that will be."""
        return self._layers[-1] if self._layers else self._next

    def _again(self) -> override:
        """Return another one of the same, so that calls at the same time do not share one."""
        return override(self._given, only_here=self._only_here)
