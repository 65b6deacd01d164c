"""What a manager is meant to do: enough to begin again in another process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..errors import ConfigurationError


class Subscription(NamedTuple):
    """What a stream is asked for.

    Attributes:
        root: URL of the server that has it.
        flag_keys: only flags with one of these keys; empty for all.
        flag_ids: only flags with one of these ids; empty for all.
    """

    root: str
    flag_keys: tuple[str, ...] = ()
    flag_ids: tuple[int, ...] = ()

    @property
    def filters(self) -> bool:
        """Whether it leaves out any flags."""
        return bool(self.flag_keys or self.flag_ids)

    @classmethod
    def of(cls, root: str, flag_keys: Iterable[str] | None, flag_ids: Iterable[int] | None) -> Subscription:
        """Make one of what callers pass.

        Raises:
            ConfigurationError: one key, or something else that is no list of them.
        """
        for name, values in (("flag_keys", flag_keys), ("flag_ids", flag_ids)):
            # A text is a sequence of texts too, of one letter each.
            if isinstance(values, str | bytes) or not (values is None or isinstance(values, Iterable)):
                raise ConfigurationError(f"{name}: a list is needed, not {values!r}")
        return cls(root, tuple(flag_keys or ()), tuple(flag_ids or ()))


class Plan(NamedTuple):
    """What a session is meant to do; enough to begin again in another process.

    Attributes:
        polls: whether it polls.
        subscription: which stream it follows; None for none.
        closed: whether it was closed.
    """

    polls: bool = False
    subscription: Subscription | None = None
    closed: bool = False


class Persistence(NamedTuple):
    """When to stop trying.

    Attributes:
        reconnect: whether to connect again at all.
        max_failures: failures in a row after which it gives up; 0 for never.
    """

    reconnect: bool = True
    max_failures: int = 0
