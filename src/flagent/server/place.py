"""The place of one worker: who is there now, and what is left of those that were."""

from __future__ import annotations

import logging
import math
import os
import signal
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from ..errors import ConfigurationError, FlagentError, ServerFailed, StorageUnavailable
from . import reports
from .siblings import Inbox
from .worker import Alive, Counted, Failed, Order, Ready, decode

_log = logging.getLogger("flagent.workers")

#: Seconds after which a worker is taken for one that works.
_STABLE = 10.0
#: Seconds until a worker is started again that ended early more than once, in the beginning and at most.
_FIRST_DELAY = 0.25
_MAX_DELAY = 30.0
#: Seconds that a process may take to be gone that was killed.
_GONE = 5.0
#: Seconds that a worker gets to write down where it hangs.
_LAST_WORDS = 1.0
#: Looks at a worker, in the time that it may be silent. A worker and the process that looks may both have been stopped
#: for long, so it is their number that counts.
LOOKS = 6


class Place:
    """One of the workers of a server, whichever process it is.

    Attributes:
        number: which, from 1 on.
        inbox: what the other workers say to it; outlives the process, so that nothing said meanwhile is lost.
        process: the one that is there; None while there is none.
        control: the connection to it.
        ready: whether it answers.
        carried: a report of what those have counted that are gone.
        failure: why the last one ended; None while there is one, and after an end that was asked for.
        ended_at: when that was.
        due_at: when another one is to be started; infinite while there is one.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.inbox = Inbox.new()
        self.process: BaseProcess | None = None
        self.control: Connection | None = None
        self.ready = False
        self.carried = b"{}"
        self.failure: FlagentError | None = None
        self.ended_at = 0.0
        self.due_at = math.inf
        self._shown = b"{}"
        self._began_at = 0.0
        self._early_ends = 0
        self._silent_looks = 0

    def taken(self, process: BaseProcess, control: Connection) -> None:
        """Note that a worker was started."""
        self.process, self.control = process, control
        self.ready, self.failure, self.due_at = False, None, math.inf
        self._shown, self._began_at, self._silent_looks = self.carried, time.monotonic(), 0

    def hear(self) -> None:
        """Take what the worker says; its last words may come after its end."""
        if self.control is None:
            return
        try:
            said = decode(self.control.recv_bytes())
        except (EOFError, OSError):
            self._let_go()
            return
        self._silent_looks = 0
        match said:
            case Alive():
                pass
            case Ready():
                self.ready = True
                if self._early_ends:
                    _log.info("worker %d answers again", self.number)
            case Counted(report):
                self._shown = bytes(report)
            case Failed(message, configuration):
                self.failure = ConfigurationError(message) if configuration else StorageUnavailable(message)

    def look(self, timeout: float) -> None:
        """Kill the worker if it is the last of `LOOKS` at which it has said nothing, evenly spread over `timeout`."""
        self._silent_looks += 1
        if self.process is None or not self.ready or self._silent_looks < LOOKS:
            return
        _log.error(
            "worker %d (process %s) works at nothing for %g s and is killed", self.number, self.process.pid, timeout
        )
        if self.process.pid is not None:
            # Then it writes down where each of its threads is, unless it is stopped.
            os.kill(self.process.pid, signal.SIGABRT)
        self.process.join(_LAST_WORDS)
        self.process.kill()

    def left(self, *, expected: bool) -> None:
        """Note that the worker has ended; the next one is started soon, and later if it goes on like this.

        Args:
            expected: whether it was told to.
        """
        process = self.process
        if process is None:
            return
        while self.control is not None:
            self.hear()
        process.join()
        code, pid = process.exitcode or 0, process.pid
        process.close()
        now = self.ended_at = time.monotonic()
        self.carried = reports.encode(reports.lasting(reports.decode(self._shown)))
        ran, self.process, self.ready = self.ready and now - self._began_at >= _STABLE, None, False
        if expected and code == 0:
            self.failure = None
            return
        how = f"worker {self.number} (process {pid}) ended {_in_words(code)}"
        self.failure = self.failure or ServerFailed(how)
        self._early_ends = 1 if ran else self._early_ends + 1
        delay = 0.0 if self._early_ends == 1 else min(_MAX_DELAY, _FIRST_DELAY * 2 ** (self._early_ends - 2))
        self.due_at = math.inf if expected else now + delay
        _log.error("%s; %s", how, "it was to end" if expected else f"another one is started in {delay:g} s")

    def fails(self, tries: int) -> bool:
        """Return whether workers have ended early so many times in a row, and there is none that stays."""
        stays = self.ready and time.monotonic() - self._began_at >= _STABLE
        return self._early_ends >= tries and not stays

    def give_up(self) -> None:
        """Start no other worker here."""
        self.due_at = math.inf
        if self.process is None:
            self.failure = None

    def tell(self, order: Order | None) -> None:
        """Tell the worker to end."""
        if self.control is not None and order is not None:
            try:
                self.control.send_bytes(order.value.encode())
            except OSError as exc:
                _log.debug("worker %d can't be told to end: %s", self.number, exc)

    def kill(self) -> None:
        """End the worker at once, if there is one."""
        if self.process is not None:
            self.process.kill()
            self.process.join(_GONE)
            self.process = None

    def _let_go(self) -> None:
        if self.control is not None:
            self.control.close()
            self.control = None


def _in_words(code: int) -> str:
    """Return how a process ended."""
    if code >= 0:
        return f"with exit status {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
