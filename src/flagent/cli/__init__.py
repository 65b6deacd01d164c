"""The command line: `flagent` and its commands, one module each.

Exit codes of every command: 0 done (for a command that runs until it is stopped, also after
Ctrl+C), 1 it could not be done, 2 an argument, setting or input can't be used.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the entry point of the program `flagent`."""
    try:
        from .commands import flagent
    except ModuleNotFoundError as exc:
        if exc.name != "click":
            raise
        sys.stderr.write("flagent: the command line needs click, install it: pip install 'flagent[cli]'\n")
        sys.exit(2)
    flagent(prog_name="flagent")
