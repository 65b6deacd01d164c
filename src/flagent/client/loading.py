"""What is loaded late, and where: the modules that managers and clients work with, once they do.

Importing a manager and evaluating on its flags needs neither asyncio nor HTTP, which take longest to load. What does is
loaded in one piece with the first thing that needs it: by the thread that waits for it, or by one of its own where that
is an event loop. From then on, importing it in a function costs a look into a dict.
"""

from __future__ import annotations

import os
import threading
from functools import partial
from importlib import import_module

from .daemons import in_daemon_thread
from .forks import after_in_child

#: The library; the other two are what httpx2 imports at the first connection.
HTTP = ("httpx2", "httpcore2", "anyio._backends._asyncio")

_LOOP = (f"{__package__}.client_loop",)
# What methods of managers import; and RE2, because evaluation must not wait for a file.
_METHODS = (*(f"{__package__}.{name}" for name in ("callbacks", "mailbox", "status")), "flagent.core.explain", "re2")
#: What keeps flags fresh that are in a file or given.
UPKEEP = (*_LOOP, f"{__package__}.upkeep", *_METHODS)
#: What keeps the flags of a server fresh.
SERVER_UPKEEP = (*UPKEEP, *HTTP)
#: What calls a REST API.
CALLS = (*_LOOP, f"{__package__}.caller", "flagent.wire.codec", *HTTP)
#: What else a stream needs than what its client has loaded.
STREAMS = (*_LOOP, *HTTP)

_loaded: set[str] = set()


def load(modules: tuple[str, ...]) -> None:
    """Import these modules, in this thread.

    A fork may come at any time, and a module that another thread was just importing can never be
    imported in the child.
    """
    with _importing:
        for module in modules:
            import_module(module)
    _loaded.update(modules)


async def load_aside(modules: tuple[str, ...]) -> None:
    """Import these modules, in a thread of their own: it takes longer than an event loop may be blocked."""
    if not _loaded.issuperset(modules):
        await in_daemon_thread("flagent loading", partial(load, modules), finish=True)


# A fork waits for the import, which happens once. Reentrant: a module may fork while it is imported.
_importing = threading.RLock()


def _hold() -> None:
    _importing.acquire()


def _let_go() -> None:
    _importing.release()


def _renew() -> None:
    # Whether the parent held it or not: uWSGI calls this hook alone.
    global _importing
    _importing = threading.RLock()


after_in_child(_renew)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_let_go)
