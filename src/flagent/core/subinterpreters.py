"""Refusing sub-interpreters, in which the library of regular expressions would hang for ever when it is loaded."""

from __future__ import annotations

from importlib import import_module


def refuse() -> None:
    """See that this is the main interpreter of its process.

    Raises:
        ImportError: it is another one, as mod_wsgi makes one for each application unless it is told not to.
    """
    # The name that it has from Python 3.13 on, and the one before.
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError(
                "flagent can't be used in a sub-interpreter, because google-re2 can't: use the main one "
                "(mod_wsgi: WSGIApplicationGroup %{GLOBAL})"
            )
        return
