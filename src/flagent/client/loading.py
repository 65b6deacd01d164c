"""What is loaded late, and where: the modules that managers and clients work with, once they do.

Importing and making one needs neither the engine, which evaluates, nor the library that its values are made of, nor
asyncio, nor HTTP: all of that takes several times as long to load as the rest. It is loaded in one piece with the first
thing that needs it: by the thread that waits for it, or by one of its own where that is an event loop. From then on,
importing it in a function costs a look into a dict. So modules that are imported with a manager know the others' types
only, and import them in functions that run when they are loaded; evaluation imports nothing.
"""

from __future__ import annotations

import os
import threading
from functools import partial
from importlib import import_module

from ..core import subinterpreters
from ..errors import TransportError
from .daemons import in_daemon_thread
from .forks import after_in_child

# Here, and not where RE2 is loaded: whoever imports a manager or a client is told, and nobody who evaluates.
subinterpreters.refuse()

#: The library; the other two are what httpx2 imports at the first connection.
HTTP = ("httpx2", "httpcore2", "anyio._backends._asyncio")

_LOOP = (f"{__package__}.client_loop",)
#: What explains an evaluation, for programs that ask for it before there is anything to evaluate on.
EXPLAINING = ("flagent.core.explain",)
#: What evaluates before there is anything to evaluate on; loaded before everything else.
UNREADY = (f"{__package__}.unready",)
#: What compiles flags that the program gives, and evaluates; RE2 only where they have patterns for it.
GIVEN = (*UNREADY, f"{__package__}.stated")
# What evaluates, with RE2, because that must not wait for a file; and what methods of managers import.
_ENGINE = (*UNREADY, "flagent.core.evaluation", *EXPLAINING, "re2")
_METHODS = tuple(f"{__package__}.{name}" for name in ("callbacks", "mailbox", "status"))
#: What keeps flags fresh that are in a file or given.
UPKEEP = (*_ENGINE, *_LOOP, f"{__package__}.upkeep", *_METHODS)
#: What keeps the flags of a server fresh.
SERVER_UPKEEP = (*UPKEEP, *HTTP)
#: What calls a REST API.
CALLS = (*_LOOP, f"{__package__}.caller", f"{__package__}.replies", *HTTP)
#: What asks a server to evaluate.
QUESTIONS = (f"{__package__}.questions", *CALLS)
#: What else a stream needs than what its client has loaded.
STREAMS = (*_LOOP, *HTTP)

_loaded: set[str] = set()


def load(modules: tuple[str, ...]) -> None:
    """Import these modules, in this thread.

    A fork may come at any time, and a module that another thread was just importing can never be
    imported in the child.

    Raises:
        TransportError: there is no descriptor for a file to be had; later there may be.
    """
    if _loaded.issuperset(modules):
        return
    if modules is not UNREADY:
        load(UNREADY)
    with _locks[_FIRST if modules is UNREADY else _REST]:
        try:
            for module in modules:
                import_module(module)
        except OSError as exc:
            raise TransportError(f"what works can't be loaded: {exc}") from exc
        _loaded.update(modules)


async def load_aside(modules: tuple[str, ...]) -> None:
    """Import these modules, in a thread of their own: it takes longer than an event loop may be blocked."""
    if not _loaded.issuperset(modules):
        await in_daemon_thread("flagent loading", partial(load, modules), finish=True)


# A fork waits for the import, which happens once. Reentrant: a module may fork while it is imported. What evaluates
# before there are flags is loaded first, under a lock of its own: on an event loop, it can't wait for all the rest.
_FIRST, _REST = 0, 1
_locks = [threading.RLock(), threading.RLock()]


def _hold() -> None:
    for lock in _locks:
        lock.acquire()


def _let_go() -> None:
    for lock in _locks:
        lock.release()


def _renew() -> None:
    # Whether the parent held them or not: uWSGI calls this hook alone.
    _locks[:] = threading.RLock(), threading.RLock()


after_in_child(_renew)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_let_go)
