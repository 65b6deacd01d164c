"""The server's settings: one frozen value, checked when it is made.

Each field is also an environment variable, `FLAGENT_` and the name in capitals. Times are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import ConfigurationError

_PREFIX = "FLAGENT_"

#: Smallest and largest value of each number.
_LIMITS: dict[str, tuple[float, float]] = {
    "port": (0, 65535),
    "workers": (1, 64),
    "worker_timeout": (0.0, 86_400.0),
    # Clients give a stream up after 2.5 heartbeats, and proxies cut silent ones after a minute or so.
    "heartbeat": (0.05, 300.0),
    "retry": (0.0, 300.0),
    "coalesce_window": (0.0, 10.0),
    "nudge_window": (0.0, 300.0),
    "write_timeout": (0.05, 600.0),
    "ring": (1, 1_000_000),
    "sync_after": (1, 1_000_000),
    "max_tombstones": (0, 10_000_000),
    "max_replay": (0, 10_000_000),
    "max_age": (0.0, 86_400.0),
    "drain_window": (0.0, 600.0),
    "max_streams": (1, 10_000_000),
    "open_rate": (0.0, 1_000_000.0),
    "max_downloads": (1, 1_000_000),
    "rate_limit": (0.0, 1_000_000.0),
    "max_body_bytes": (1024, 1 << 30),
    "max_batch_entities": (1, 1_000_000),
    "max_batch_flags": (1, 1_000_000),
}

#: How a variable switches something on or off.
_SWITCH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a server runs.

    Attributes:
        host: address to listen at; `0.0.0.0` is every IPv4 address of the machine.
        port: TCP port; 0 takes any that is free.
        workers: processes that serve, each with an event loop of its own; limits count for all of them together.
        worker_timeout: one of several workers that works at nothing for this long is killed, and another one started
            in its place; 0 is never.
        database_url: where flags are kept, `sqlite:///<path>`.
        node: what this server calls itself towards its clients; empty is the machine's name.
        heartbeat: silence after which a stream gets a sign of life.
        retry: how long a client shall wait before it connects again, unless it knows better.
        coalesce_window: streams of Flagent's own clients get at most one event per flag in this time; 0 is all at once.
        nudge_window: those streams get one event at a random moment this soon after they connect, so that their
            clients load what they missed; 0 is none.
        write_timeout: a stream whose connection takes nothing for this long is ended.
        ring: how many of the newest changes are kept in memory for readers.
        sync_after: a reader that is more changes behind gets their net effect instead of each.
        max_tombstones: how many deletions and renames are kept for readers that resume.
        max_replay: how many changes of the log a stream that asks for a moment (`since`) is sent at most.
        max_age: seconds after which a stream is sent elsewhere, give or take a fifth; 0 is never.
        drain_window: seconds over which open streams are ended after SIGTERM; fewer than fifty a second take less.
        max_streams: how many streams may be open; more are asked to come back later.
        open_rate: how many streams may be opened in a second, and twice as many at once; the others are asked to come
            back one after the other at this rate; 0 is no limit.
        max_downloads: how many snapshots may be on their way at once; more are asked to come back later.
        insecure: serve other machines although there is no admin key, and so everybody may do everything.
        open_reads: evaluation, export and streams need no key, for those of Flagent's clients that can send none.
        rate_limit: requests per second that one key, or one address without a key, may make; twice as many
            at once; 0 is no limit.
        cors_origins: from which web pages browsers may call, separated by commas; `*` is all, without
            credentials; empty is none.
        max_body_bytes: largest body of a request.
        max_batch_entities: most entities of one batch evaluation.
        max_batch_flags: most flag ids, keys or tags that one batch evaluation may list.

    Raises:
        ConfigurationError: a value can't be used; the message names it.
    """

    host: str = "127.0.0.1"
    port: int = 18000
    workers: int = 1
    worker_timeout: float = 60.0
    # Not shown: it may hold a password.
    database_url: str = field(default="sqlite:///flagent.db", repr=False)
    node: str = ""
    heartbeat: float = 15.0
    retry: float = 1.0
    coalesce_window: float = 0.15
    nudge_window: float = 2.0
    write_timeout: float = 10.0
    ring: int = 1024
    sync_after: int = 64
    max_tombstones: int = 10_000
    max_replay: int = 100_000
    max_age: float = 1800.0
    drain_window: float = 20.0
    max_streams: int = 100_000
    open_rate: float = 1000.0
    max_downloads: int = 1000
    insecure: bool = False
    open_reads: bool = False
    rate_limit: float = 0.0
    cors_origins: str = ",".join(
        f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (8080, 8081, 18000)
    )
    max_body_bytes: int = 8 << 20
    max_batch_entities: int = 1000
    max_batch_flags: int = 1000

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in _LIMITS:
                _check_number(each.name, value, whole=each.type == "int")
            elif each.type == "bool":
                if not isinstance(value, bool):
                    raise ConfigurationError(f"{each.name}: {value!r} is neither True nor False")
            elif not isinstance(value, str):
                raise ConfigurationError(f"{each.name}: {value!r} is no text")
        for name in ("host", "database_url"):
            if not getattr(self, name).strip():
                raise ConfigurationError(f"{name}: must not be empty; without {_PREFIX}{name.upper()} it has a default")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **overrides: Any) -> Settings:
        """Make settings from variables such as `FLAGENT_PORT`.

        Args:
            environ: the variables, usually `os.environ`; an empty one counts as unset.
            overrides: values that win over the variables; None leaves the variable in force.

        Raises:
            ConfigurationError: a value can't be used; the message names the variable or field.
        """
        kinds = {each.name: str(each.type) for each in fields(cls)}
        unknown = overrides.keys() - kinds.keys()
        if unknown:
            raise ConfigurationError(f"{', '.join(sorted(unknown))}: no such setting, there are {', '.join(kinds)}")
        values = {name: value for name, value in overrides.items() if value is not None}
        for name, kind in kinds.items():
            text = environ.get(_PREFIX + name.upper(), "").strip()
            if text and name not in values:
                values[name] = _parsed(_PREFIX + name.upper(), text, kind)
        return cls(**values)


def _parsed(variable: str, text: str, kind: str) -> str | int | float | bool:
    if kind == "str":
        return text
    if kind == "bool":
        if text.lower() not in _SWITCH:
            raise ConfigurationError(f"{variable}: {text!r} is none of {', '.join(_SWITCH)}")
        return _SWITCH[text.lower()]
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        wanted = "a whole number" if kind == "int" else "a number"
        raise ConfigurationError(f"{variable}: {text!r} is not {wanted}; correct it or unset it") from None


def _check_number(name: str, value: Any, *, whole: bool) -> None:
    low, high = _LIMITS[name]
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
        raise ConfigurationError(f"{name}: {value!r} is not {'a whole number' if whole else 'a number'}")
    if not low <= value <= high:
        raise ConfigurationError(f"{name}: {value!r} is out of range, use {low:.15g} to {high:.15g}")
