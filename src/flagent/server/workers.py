"""Several workers at one address: starting them, starting those again that die, and ending all of them together.

All accept from one listening socket, which this process holds as well. So a connection that waits is taken by whoever
is free, also when the worker dies that would have had it; with a socket for each (SO_REUSEPORT) it would be lost, and
macOS would give all of them to one worker. This process serves nobody and has no thread and no event loop, so that a
worker can be forked from it at any time, and shares the memory of what was imported.
"""

from __future__ import annotations

import logging
import math
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkContext, SpawnContext
from types import FrameType

from ..errors import ConfigurationError, ServerFailed
from . import collector, questions, shares
from .listening import bind, listen, url_of
from .place import LOOKS, Place
from .run import SIGNALS
from .settings import Settings
from .siblings import framed, receive
from .worker import Assignment, Order, work

_log = logging.getLogger("flagent.workers")

#: Seconds that workers may take beyond what they are meant to take for their end, before they are killed.
_SPARE = 15.0
#: Times that each of the workers may end early, one after the other, before it is of no use to go on.
_TRIES = 5


def supervise(settings: Settings, *, on_ready: Callable[[str], None], prepare: Callable[[], None]) -> None:
    """Run a server of several workers until SIGTERM or SIGINT.

    Args:
        settings: how it runs.
        on_ready: called with the server's URL when all workers answer.
        prepare: called first in each worker.

    Raises:
        ConfigurationError: the address or the database can't be used, or there can't be several workers here.
        StorageUnavailable: the database does not answer.
        ServerFailed: the workers end as soon as they are started.
    """
    if not (hasattr(socket, "AF_UNIX") and hasattr(socket, "send_fds") and hasattr(signal, "pthread_sigmask")):
        raise ConfigurationError(f"workers: {sys.platform} can have one only; start several servers on a PostgreSQL")
    if threading.current_thread() is not threading.main_thread():
        raise ConfigurationError("workers: a server of several has to be run by the main thread, which gets signals")
    shares.check(settings)
    with bind(settings.host, settings.port) as listening:
        listen(listening, settings.host, settings.port)
        _Supervisor(settings, listening, prepare).run(on_ready)


class _Supervisor:
    def __init__(self, settings: Settings, listening: socket.socket, prepare: Callable[[], None]) -> None:
        # A forked child of a program with threads may inherit their locks, and other systems' libraries fork badly.
        self._forks = sys.platform == "linux" and threading.active_count() == 1
        self._context: ForkContext | SpawnContext = get_context("fork") if self._forks else get_context("spawn")
        self._settings = settings
        self._listening = listening
        self._prepare = prepare
        self._places = [Place(number) for number in range(1, settings.workers + 1)]
        self._births = count(1)
        self._signals = 0
        self._order: Order | None = None
        self._looks_at = 0.0 if settings.worker_timeout else math.inf
        self._bell, self._rings = socket.socketpair()

    def run(self, on_ready: Callable[[str], None]) -> None:
        """Start the workers, keep them running, and end them when a signal comes."""
        # What is there now is shared with forked children as long as nobody writes to it.
        collector.settle()
        with self._listening_to_signals():
            try:
                # The first one makes the tables, or finds out why it can't.
                self._begin(self._places[:1])
                self._begin(self._places)
                if self._order is None:
                    url = url_of(self._listening)
                    _log.info("%d workers are listening at %s", len(self._places), url)
                    on_ready(url)
                while self._order is None:
                    self._restart()
                    self._look()
                    self._wait(min(self._looks_at, *(place.due_at for place in self._places)))
                self._end()
            finally:
                for place in self._places:
                    place.kill()
        _log.info("stopped")

    def _begin(self, places: list[Place]) -> None:
        """Start those workers that are not there yet, and wait until all answer, unless a signal comes first."""
        for place in places:
            if place.process is None and self._order is None:
                self._start(place)
        while self._order is None and not all(place.ready for place in places):
            self._wait(math.inf)
            for place in places:
                if place.failure is not None:
                    raise place.failure

    def _start(self, place: Place) -> None:
        control, theirs = self._context.Pipe()
        controls = [each.control for each in self._places if each.control is not None]
        assignment = Assignment(
            shares.share_of(self._settings, place.number),
            next(self._births),
            self._listening,
            place.inbox.reading,
            [other.inbox.writing for other in self._places if other is not place],
            theirs,
            place.carried,
            (self._bell, self._rings, control, *controls) if self._forks else (),
            self._prepare,
        )
        process = self._context.Process(target=work, args=(assignment,), name=f"flagent worker {place.number}")
        # A child must not take a signal for one to this process.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)
            theirs.close()
        place.taken(process, control)

    def _restart(self) -> None:
        """Start the workers again whose time has come.

        Raises:
            ServerFailed: it is of no use.
        """
        if all(place.fails(_TRIES) for place in self._places):
            last = max(self._places, key=lambda place: place.ended_at).failure
            raise ServerFailed(f"all workers end as soon as they are started, at last: {last}")
        now = time.monotonic()
        for place in self._places:
            if place.due_at <= now:
                self._start(place)

    def _look(self) -> None:
        """See from time to time whether workers are there that work no more."""
        timeout, now = self._settings.worker_timeout, time.monotonic()
        if now >= self._looks_at:
            self._looks_at = now + timeout / LOOKS
            for place in self._places:
                place.look(timeout)

    def _wait(self, until: float) -> None:
        """Wait for something to happen, at most until a moment, and take note of it."""
        # Whoever asks a worker that is not there is answered by this process.
        absent = {place.inbox.reading: place for place in self._places if not place.ready}
        said = {place.control: place for place in self._places if place.control is not None}
        ends = {place.process.sentinel: place for place in self._places if place.process is not None}
        timeout = None if until == math.inf else max(0.0, until - time.monotonic())
        for event in wait([self._bell, *absent, *said, *ends], timeout):
            if event is self._bell:
                self._bell.recv(64)
            elif event in absent:
                _answer_for(absent[event])
            elif event in said:
                said[event].hear()
            elif event in ends:
                ends[event].left(expected=self._order is not None)

    def _end(self) -> None:
        """End all workers, at the same time."""
        # The last of them closes the port.
        self._listening.close()
        told, limit = None, math.inf
        for place in self._places:
            place.give_up()
        while any(place.process is not None for place in self._places):
            if told is not self._order:
                told = self._order
                window = self._settings.drain_window if told is Order.DRAIN else 0.0
                limit = time.monotonic() + window + _SPARE
                for place in self._places:
                    place.tell(told)
            if time.monotonic() >= limit:
                raise ServerFailed("some workers did not end in time, and were killed")
            self._wait(limit)
        if any(place.failure is not None for place in self._places):
            raise ServerFailed("some workers ended badly, see the log")

    @contextmanager
    def _listening_to_signals(self) -> Iterator[None]:
        self._rings.setblocking(False)
        previous = {number: signal.signal(number, self._signalled) for number in SIGNALS}
        previous_bell = signal.set_wakeup_fd(self._rings.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous_bell)
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._bell.close()
            self._rings.close()

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        """Begin to end; the second signal waits for nobody, and the third kills everything."""
        self._signals += 1
        if self._signals > 2:
            for place in self._places:
                place.kill()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if self._signals == 1:
            self._order = Order.HURRY if number == signal.SIGINT else Order.DRAIN
        else:
            self._order = Order.FORCE


def _answer_for(place: Place) -> None:
    received = receive(place.inbox.reading)
    question, connection = received or (b"", None)
    if connection is not None:
        with connection, suppress(OSError):
            connection.sendall(framed(questions.answered_for(question, place.carried)))
