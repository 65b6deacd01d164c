"""For the tests of programs that use flagent: flags without a server, and a server where one is wanted.

`override` sets flags for every manager of the process, `InMemoryFlags` is a manager of its own, and `LiveServer` a
real server (`pip install 'flagent[server]'`). Under pytest, managers reach for no server by themselves: see
`flagent.testing.plugin`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .interception import SocketsBlocked as SocketsBlocked
    from .live import LiveServer as LiveServer
    from .memory import InMemoryFlags as InMemoryFlags
    from .overrides import UnknownFlag as UnknownFlag
    from .overriding import override as override

_HOMES = {
    "InMemoryFlags": "memory",
    "LiveServer": "live",
    "SocketsBlocked": "interception",
    "UnknownFlag": "overrides",
    "override": "overriding",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The server's libraries are imported only by those who want one.
    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


__all__ = [*_HOMES]  # noqa: PLE0604 - the names are those above
