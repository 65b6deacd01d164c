"""A program that runs servers which kill themselves, by SIGKILL, at a chosen point of what they write.

    python kill_points.py

Each line that it reads is a server to run: the settings, and the point at which to die. The points are
numbered from the moment that the server answers: before each statement of the thread that writes, before and
after each commit, and with SQLite before each write to a file, of which a commit makes many. A server is a fork
of this program, which has loaded everything; this program only waits, and says how it ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect
from sqlite_calls import replace_writes

from flagent.server.run import serve
from flagent.server.settings import Settings

#: What the threads are called in which a server writes to its database.
_WRITER = "flagent-write"


class Points:
    """Counts points, and dies at one of them.

    Attributes:
        armed: whether points count already.
    """

    def __init__(self, last: int) -> None:
        self.armed = False
        self._last = last
        self._passed = 0

    def reached(self, *_: object) -> None:
        """Be at a point, if this is the thread that writes."""
        if self.armed and threading.current_thread().name.startswith(_WRITER):
            self._passed += 1
            if self._passed == self._last:
                os.kill(os.getpid(), signal.SIGKILL)

    def before(self, real: Callable[[], Any]) -> Any:
        """Be at a point before something."""
        self.reached()
        return real()


def watch(points: Points, *, sqlite: bool) -> Callable[[], None] | None:
    """Let everything that is written be points; with SQLite, as long as the caller has what this returns."""
    sa.event.listen(sa.Engine, "before_cursor_execute", points.reached)
    commit: Callable[[DefaultDialect, Any], None] = DefaultDialect.do_commit

    def do_commit(dialect: DefaultDialect, connection: Any) -> None:
        points.reached()
        commit(dialect, connection)
        points.reached()

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]
    return replace_writes(points.before) if sqlite else None


def run(settings: dict[str, Any], last: int) -> None:
    """Run a server until it kills itself, or is stopped."""
    points = Points(last)
    _restore = watch(points, sqlite=settings["database_url"].startswith("sqlite"))

    def ready(url: str) -> None:
        points.armed = True
        print(url, flush=True)

    serve(Settings(**settings), on_ready=ready)


def main() -> None:
    """Run servers until there is nothing more to read."""
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(wanted["settings"], wanted["last"])
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
