"""One of several workers: a server in a process of its own, which obeys the process that started it, and ends with it.

Signals are for that process; here they are ignored, since a terminal and systemd send theirs to everybody.
"""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from multiprocessing.connection import Connection
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ..errors import ConfigurationError, FlagentError
from . import collector, reports
from .capacity import make_room
from .run import SIGNALS, Server
from .settings import Settings
from .siblings import Siblings

#: Seconds that a worker gets for its end when the process is gone that started it.
_ALONE = 10.0
#: Seconds between two signs of life.
BEAT = 0.5


class Order(StrEnum):
    """How workers are told to end; each is stronger than the one before."""

    #: End streams over the drain window.
    DRAIN = "drain"
    #: End streams at once.
    HURRY = "hurry"
    #: And wait for no request either.
    FORCE = "force"


class Ready(Struct, frozen=True, tag=True):
    """The worker answers."""


class Counted(Struct, frozen=True, tag=True):
    """What the worker has counted, and is about to show."""

    report: msgspec.Raw


class Alive(Struct, frozen=True, tag=True):
    """The worker's event loop turns."""


class Failed(Struct, frozen=True, tag=True):
    """The worker can't start."""

    message: str
    configuration: bool


Said = Ready | Counted | Alive | Failed
decode = msgspec.json.Decoder(Said).decode
_encode = msgspec.json.Encoder().encode


class Assignment(NamedTuple):
    """What a worker starts from.

    Attributes:
        settings: how it runs, with its share of the limits.
        birth: see `Siblings`.
        listening: the socket at which all workers listen.
        inbox: where it reads what the others say.
        others: where it says something to them.
        control: the connection to the process that starts it.
        carried: a report of what those before it have counted.
        strangers: what a forked child has, but must not keep: by its end others see that this process has ended.
        prepare: to be called first.
    """

    settings: Settings
    birth: int
    listening: socket.socket
    inbox: socket.socket
    others: Sequence[socket.socket]
    control: Connection
    carried: bytes
    strangers: Sequence[Connection | socket.socket]
    prepare: Callable[[], None]


def work(assignment: Assignment) -> None:
    """Serve until told otherwise; the whole life of the process."""
    if sys.stderr is not None:
        # Where it hangs, if it does, or what it was about when a library made it crash.
        faulthandler.enable()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    # Blocked by who started it, so that none would be taken for one to that process.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for stranger in assignment.strangers:
        stranger.close()
    assignment.prepare()
    try:
        _serve(assignment)
    except FlagentError as exc:
        _say(assignment.control, Failed(str(exc), isinstance(exc, ConfigurationError)))
        sys.exit(1)


def _serve(assignment: Assignment) -> None:
    control = assignment.control
    make_room(assignment.settings.max_streams)

    def ready(_url: str) -> None:
        collector.settle()
        _say(control, Ready())

    writable = select.poll()
    writable.register(control, select.POLLOUT)

    def tell(report: reports.Report) -> None:
        # The other end reads whenever it can; if it is stopped, nobody has to wait for it.
        if writable.poll(0):
            _say(control, Counted(msgspec.Raw(reports.encode(report))))

    def beat() -> None:
        if writable.poll(0):
            _say(control, Alive())

    siblings = Siblings(assignment.inbox, assignment.others, birth=assignment.birth)
    siblings.carried = reports.decode(assignment.carried)
    siblings.tell = tell
    server = Server(assignment.settings, on_ready=ready, siblings=siblings)
    server.works = _Beat(beat)
    # Not on the event loop, which may be what keeps the process from ending.
    threading.Thread(target=_obey, args=(control, server), name="control", daemon=True).start()
    server.run([assignment.listening])


class _Beat:
    """Says something from time to time."""

    def __init__(self, say: Callable[[], object]) -> None:
        self._say = say
        self._due = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + BEAT
            self._say()


def _obey(control: Connection, server: Server) -> None:
    try:
        while True:
            _end(server, Order(control.recv_bytes().decode()))
    except (EOFError, OSError):
        _end(server, Order.FORCE)
    time.sleep(_ALONE)
    os._exit(1)


def _end(server: Server, order: Order) -> None:
    server.stop(hurry=order is not Order.DRAIN)
    if order is Order.FORCE:
        server.force_exit = True


def _say(control: Connection, said: Said) -> None:
    # Whoever is not there any more makes this process end, too.
    with suppress(OSError):
        control.send_bytes(_encode(said))
