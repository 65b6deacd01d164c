"""What a mutation is: a rule of the product, and what is put in its place to break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

Replaced = tuple[Any, str, Any]


class Mutation(NamedTuple):
    """A rule, and what breaks it.

    Attributes:
        rule: what is not done any more, in words.
        seeds: schedules that noticed when it was written; others follow if they do not any more.
        replaced: what is put in the place of what.
    """

    rule: str
    seeds: tuple[int, ...]
    replaced: Callable[[], list[Replaced]]

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Break the rule in here."""
        with ExitStack() as stack:
            for owner, name, value in self.replaced():
                stack.callback(setattr, owner, name, owner.__dict__[name])
                setattr(owner, name, value)
            yield


#: All of them, by name.
MUTATIONS: dict[str, Mutation] = {}


def mutation(rule: str, *seeds: int) -> Callable[[Callable[[], list[Replaced]]], Callable[[], list[Replaced]]]:
    def register(replaced: Callable[[], list[Replaced]]) -> Callable[[], list[Replaced]]:
        MUTATIONS[replaced.__name__] = Mutation(rule, seeds, replaced)
        return replaced

    return register
