"""`flagent demo`: a server, an SDK that follows it, and the delay of each change of a flag."""

from __future__ import annotations

import logging
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from ..client.connecting import connect
from ..client.offline import OfflineManager
from .extras import server_extra
from .sample import ENTITY_ID, FLAG_KEY, Rest, Step, create_flags, steps

#: Seconds from one change to the next.
_INTERVAL = 0.5
#: Seconds after which a change that the SDK does not show counts as missed.
_PATIENCE = 5.0
#: Seconds between two looks at the evaluation, and so the precision of the delays.
_LOOK_EVERY = 0.0001


@click.command("demo")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after this time, with a summary.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines; the last one is the summary.")
@click.option("--port", type=click.IntRange(0, 65535), default=18000, show_default=True, help="The server's TCP port.")
def demo(seconds: float | None, as_json: bool, port: int) -> None:
    """See it work: a server, an SDK that follows it, and a flag that changes twice a second.

    The server's flags are in a temporary folder. It ends after --seconds, or by Ctrl+C or SIGTERM, with exit code 0;
    with 1 if a change was missed.
    """
    with server_extra():
        from ..server.local import LOCALHOST, LocalServer

    # Whoever follows a demonstration need not be warned that it is open to everybody on this machine.
    logging.getLogger("flagent").setLevel(logging.ERROR)
    # A proxy, which the SDK would obey, can't reach this machine's own address.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = LOCALHOST
    report = _Report(as_json)
    with ExitStack() as stack:
        stop = stack.enter_context(_signals())
        server = stack.enter_context(LocalServer(port))
        rest = stack.enter_context(Rest(server.url))
        create_flags(rest)
        flags = stack.enter_context(connect(server.url))
        report.started(server.url, None if server.is_at(port) else port)
        _change_flags(rest, flags, report, stop, math.inf if seconds is None else seconds)
    report.summary()
    if report.missed:
        sys.exit(1)


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set; the second one does what it does by default."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def handle(*_: object) -> None:
        stop.set()
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)

    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _change_flags(rest: Rest, flags: OfflineManager, report: _Report, stop: threading.Event, seconds: float) -> None:
    start = time.monotonic()
    with ThreadPoolExecutor(1, "flagent-demo-rest") as requests:
        for number, step in enumerate(steps(rest), 1):
            sent = time.perf_counter()
            request = requests.submit(rest.send, "PUT", step.path, step.body)
            report.update(number, step, _delay_of(step, flags, sent))
            # A request that was refused is the better explanation of a change that was not seen.
            request.result()
            due = start + min(number * _INTERVAL, seconds)
            if stop.wait(max(0.0, due - time.monotonic())) or due >= start + seconds:
                return


def _delay_of(step: Step, flags: OfflineManager, sent: float) -> float | None:
    """Return the seconds from `sent` until the SDK evaluates as the step says; None if it never does."""
    while flags.evaluate(FLAG_KEY, ENTITY_ID).variant_key != step.variant_key:
        if time.perf_counter() - sent > _PATIENCE:
            return None
        time.sleep(_LOOK_EVERY)
    return time.perf_counter() - sent


class _Report:
    """What is printed, for a person or for a program.

    Attributes:
        missed: changes that the SDK did not show in time.
    """

    def __init__(self, as_json: bool) -> None:
        self.missed = 0
        self._json = as_json
        self._delays: list[float] = []

    def started(self, url: str, taken: int | None) -> None:
        """Say where the server listens, and not at port `taken`, and how to talk to it."""
        if taken is not None:
            click.echo(f"Port {taken} can't be had, it is probably in use; another one is taken.\n", err=self._json)
        if self._json:
            _print_json({"server": url, "flagKey": FLAG_KEY, "entityID": ENTITY_ID})
        else:
            click.echo(_guide(url))

    def update(self, number: int, step: Step, delay: float | None) -> None:
        """Tell of one change."""
        if delay is None:
            self.missed += 1
        else:
            self._delays.append(delay)
        if self._json:
            _print_json({"update": number, "variantKey": step.variant_key, "ms": _ms(delay)})
            return
        outcome = f"MISSED, not seen for {_PATIENCE:g} s" if delay is None else f"{_ms(delay):7.2f} ms"
        request = f"PUT …/{step.path.rpartition('/')[2]}"
        click.echo(f"{time.strftime('%H:%M:%S')}  {request:<19}  {step.variant_key or 'off':<6} {outcome}")

    def summary(self) -> None:
        """Sum up, as the last line."""
        p50, p99 = _ms(percentile(self._delays, 50)), _ms(percentile(self._delays, 99))
        seen = len(self._delays)
        if self._json:
            _print_json({"updates": seen, "missed": self.missed, "p50_ms": p50, "p99_ms": p99})
            return
        delays = f"; from sending a request to evaluating its outcome: p50 {p50} ms, p99 {p99} ms" if seen else ""
        click.echo(f"\n{seen} updates seen by the SDK, {self.missed} missed{delays}")


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that at least `percent` percent are not greater than; None of no values."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _print_json(document: dict[str, Any]) -> None:
    click.echo(msgspec.json.encode(document).decode())


def _guide(url: str) -> str:
    program = _program()
    return f"""\
A flagent server listens at {url}, with flags in a temporary folder.

  look at its flags    curl {url}/api/v1/flags
  watch them change    {program} watch {url}
  use them             {sys.executable}
                       >>> import flagent
                       >>> flags = flagent.connect("{url}")
                       >>> flags.evaluate("{FLAG_KEY}", "{ENTITY_ID}").variant_key

An SDK follows that server. The flag {FLAG_KEY} is now changed twice a second, and each line below
tells when the SDK evaluates it for {ENTITY_ID} as it should, counted from sending the request. Ctrl+C ends it.
"""


def _program() -> str:
    """Return how to call flagent again from here."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{sys.executable} -m flagent"
    on_path = shutil.which("flagent")
    return "flagent" if on_path is not None and called.exists() and called.samefile(on_path) else str(called)
