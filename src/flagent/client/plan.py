"""What a manager is meant to do: enough to begin again in another process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Subscription:
    """What a stream is asked for.

    Attributes:
        root: URL of the server that has it.
        flag_keys: only flags with one of these keys; empty for all.
        flag_ids: only flags with one of these ids; empty for all.
    """

    root: str
    flag_keys: tuple[str, ...] = ()
    flag_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a session is meant to do; enough to begin again in another process.

    Attributes:
        polls: whether it polls.
        subscription: which stream it follows; None for none.
        closed: whether it was closed.
    """

    polls: bool = False
    subscription: Subscription | None = None
    closed: bool = False
