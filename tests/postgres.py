"""A PostgreSQL for tests: the one that `FLAGENT_TEST_POSTGRES_URL` names, or a throw-away cluster of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

_VARIABLE = "FLAGENT_TEST_POSTGRES_URL"
_TIMEOUT = 60


class Cluster:
    """A server on which databases can be made.

    Attributes:
        url: of a database to connect to first.
        restart: stops the server at once, does something, and starts it again; None for one that is not ours.
    """

    def __init__(self, url: str, restart: Callable[[Callable[[], None]], None] | None = None) -> None:
        self.url = url
        self.restart = restart
        self._numbers = count()
        self._admin = sa.create_engine(
            sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", pool_pre_ping=True
        )

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"flagent_test_{os.getpid()}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return sa.make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def execute(self, statement: str) -> None:
        """Run a statement as the administrator."""
        with self._admin.connect() as connection:
            connection.exec_driver_sql(statement)

    def close(self) -> None:
        """Close the connections."""
        self._admin.dispose()


@contextmanager
def found_or_started() -> Iterator[Cluster]:
    """Yield a cluster; skip the test where there can be none, except in CI, which has to have one."""
    url = os.environ.get(_VARIABLE)
    if url:
        cluster = Cluster(url)
        yield cluster
        cluster.close()
        return
    programs = _programs()
    if programs is None:
        reason = f"there is no PostgreSQL: install it, or set {_VARIABLE}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with _started(programs) as cluster:
        yield cluster


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


@contextmanager
def _started(programs: Path) -> Iterator[Cluster]:
    # Short, because it holds a Unix socket; and not in pytest's folder, which other users can't enter.
    folder = Path(tempfile.mkdtemp(prefix="fpg"))
    data = folder / "data"
    # PostgreSQL refuses to run as root.
    prefix: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        prefix = ["runuser", "-u", "postgres", "--"]

    def run(program: str, *arguments: str) -> None:
        command = [*prefix, str(programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, cwd=folder, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr or done.stdout}")

    def start() -> None:
        options = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=60"
        run("pg_ctl", "-D", str(data), "-l", str(folder / "log"), "-o", options, "-w", "start")

    def stop() -> None:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")

    def restart(meanwhile: Callable[[], None]) -> None:
        stop()
        try:
            meanwhile()
        finally:
            start()

    try:
        run("initdb", "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8")
        start()
        cluster = Cluster(f"postgresql://postgres@/postgres?host={folder}", restart)
        try:
            yield cluster
        finally:
            cluster.close()
            stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
