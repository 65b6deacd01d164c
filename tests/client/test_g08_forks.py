"""Web servers that fork: each worker follows the flags by itself, the master stays live, and all end in time (G8)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from forking_program import ForkingProgram, many_askers, need, until_all
from rest import Rest
from waiting import until

import flagent

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")

#: Seconds that a server without requests takes at most to end.
END = 5.0
WSGI = "client.fork_apps.wsgi:application"
HOOKS = Path(__file__).parent / "fork_apps" / "gunicorn_hooks.py"


def switch_and_watch(rest: Rest, program: ForkingProgram, url: str, workers: int) -> list[int]:
    """Switch the flag off and on under a running server, and return the process ids of its workers."""
    look = many_askers(url)
    first, woken = until_all(workers, look, enabled=True)
    program.until_parent(enabled=True)

    rest.put("/flags/1/enabled", {"enabled": False})
    last, off = until_all(workers, look, enabled=False)
    parent = program.until_parent(enabled=False)

    assert last.keys() == first.keys()
    assert len(last) == workers
    assert parent.pid not in last
    rest.put("/flags/1/enabled", {"enabled": True})
    _, on = until_all(workers, look, enabled=True)
    program.until_parent(enabled=True)
    print(f"\nlive in all workers after {woken:.3f} s, off after {off:.3f} s, on after {on:.3f} s")
    return list(last)


@pytest.mark.parametrize(
    ("options", "workers"),
    [(["--workers=4"], 4), (["--workers=2", "--worker-class=gthread", "--threads=4"], 2)],
    ids=["sync", "gthread"],
)
@pytest.mark.covers("G8", "F76")
def test_gunicorn_that_preloads_the_application_is_fresh_in_every_worker(
    rest: Rest, tmp_path: Path, options: list[str], workers: int
) -> None:
    gunicorn = [need(program="gunicorn"), "--bind=127.0.0.1:0", "--preload", *options]

    with ForkingProgram([*gunicorn, f"--config={HOOKS}", WSGI], rest.server.url, tmp_path) as program:
        url = program.logged(r"Listening at: (http://[\d.:]+)")
        pids = switch_and_watch(rest, program, url, workers)

        # A worker that is forked much later begins with what the master holds by then.
        rest.put("/flags/1/enabled", {"enabled": False})
        program.until_parent(enabled=False)
        os.kill(pids[0], signal.SIGKILL)
        until(lambda: pids[0] not in program.descendants())
        replaced, again = until_all(workers, many_askers(url), enabled=False)
        took = program.end()

    print(f"replaced after {again:.3f} s, ended after {took:.3f} s")
    assert len(replaced.keys() - set(pids)) == 1
    assert took < END


@pytest.mark.covers("G8", "F76", "F77")
def test_gunicorn_whose_workers_patch_themselves_for_gevent_is_fresh_in_every_worker(
    rest: Rest, tmp_path: Path
) -> None:
    need(module="gevent")
    gunicorn = [need(program="gunicorn"), "--bind=127.0.0.1:0", "--preload", "--workers=2", "--worker-class=gevent"]

    with ForkingProgram([*gunicorn, f"--config={HOOKS}", WSGI], rest.server.url, tmp_path) as program:
        url = program.logged(r"Listening at: (http://[\d.:]+)")
        switch_and_watch(rest, program, url, 2)
        took = program.end()

    print(f"ended after {took:.3f} s")
    assert took < END


def uwsgi(*options: str) -> list[str]:
    """Return the command of a uWSGI that loads the application before it forks three workers."""
    usual = ["--http-socket=127.0.0.1:0", "--master", "--processes=3", f"--module={WSGI}", "--need-app"]
    # Debian's knows Python only as a plugin.
    return [
        need(program="uwsgi", anywhere=False),
        *usual,
        f"--virtualenv={sys.prefix}",
        "--die-on-term",
        "--disable-logging",
        *options,
    ]


@pytest.mark.parametrize(
    "options",
    [[], ["--enable-threads"], ["--py-call-osafterfork"], ["--enable-threads", "--py-call-uwsgi-fork-hooks"]],
    ids=["as it is", "threads", "osafterfork", "fork hooks"],
)
@pytest.mark.covers("G8", "F76")
def test_uwsgi_without_lazy_apps_is_fresh_in_every_worker(rest: Rest, tmp_path: Path, options: list[str]) -> None:
    """By itself uWSGI forks without a word to Python: no hook of `os.register_at_fork` runs in its workers."""
    streams = rest.server.services.broadcaster

    with ForkingProgram(uwsgi(*options), rest.server.url, tmp_path) as program:
        url = "http://" + program.logged(r"bound to TCP address ([\d.:]+)")
        program.logged("(spawned uWSGI worker 3)")
        if "threads support is disabled" in program.log:
            pytest.skip("this uWSGI runs no threads unless it is told to")
        look = many_askers(url)
        first, woken = until_all(3, look, enabled=True)
        rest.put("/flags/1/enabled", {"enabled": False})
        last, off = until_all(3, look, enabled=False)
        # The master, in which nothing can be asked, has a stream too.
        until(lambda: len(streams) == 4)
        took = program.end()

    print(f"\nlive in all workers after {woken:.3f} s, off after {off:.3f} s, ended after {took:.3f} s")
    assert last.keys() == first.keys()
    assert took < END


def test_uwsgi_ends_in_time_although_its_workers_never_used_the_manager(rest: Rest, tmp_path: Path) -> None:
    with ForkingProgram(uwsgi(), rest.server.url, tmp_path) as program:
        url = "http://" + program.logged(r"bound to TCP address ([\d.:]+)")
        program.logged("(spawned uWSGI worker 3)")
        # A worker that is still starting would not notice the signal.
        until_all(3, many_askers(f"{url}/idle"), enabled=False)
        took = program.end()

    print(f"\nended after {took:.3f} s")
    assert took < END


@pytest.mark.covers("G8", "F76", "I5")
def test_worker_of_a_uwsgi_without_threads_does_not_say_that_it_is_live(rest: Rest, tmp_path: Path) -> None:
    """Debian's uWSGI, and any older than 2.0.31: there nothing can keep the flags fresh."""
    program = shutil.which("uwsgi-core")
    version = subprocess.run(["/usr/bin/python3", "-V"], capture_output=True, text=True).stdout if program else ""
    if not version.startswith(f"Python {sys.version_info[0]}.{sys.version_info[1]}."):
        pytest.skip("there is no uWSGI of the system for this version of Python")
    own = [str(program), "--plugin=python3", *(each for each in uwsgi()[1:] if "virtualenv" not in each)]
    # Not the virtual environment: its interpreter is another one.
    folders = [Path(__file__).parents[1], Path(str(flagent.__file__)).parents[1], sysconfig.get_path("purelib")]
    paths = os.pathsep.join(map(str, folders))

    with ForkingProgram(own, rest.server.url, tmp_path, {"PYTHONPATH": paths}) as running:
        url = "http://" + running.logged(r"bound to TCP address ([\d.:]+)")
        running.logged("(spawned uWSGI worker 3)")
        if "threads support is disabled" not in running.log:
            pytest.skip("this uWSGI always runs threads")
        look = many_askers(url)
        until_all(3, many_askers(f"{url}/idle"), enabled=False)
        rest.put("/flags/1/enabled", {"enabled": False})
        seen = {each.pid: each for each in look()}
        claims = [each for each in seen.values() if each.enabled and each.live]
        assert not claims, "they say that they are live, on flags that will never change"
        took = running.end()

    assert took < END
