"""What the tests of faults have in common."""

from __future__ import annotations

from collections.abc import Callable

from fault_proxy import Answer, Ending
from live import LiveServer
from waiting import until

from flagent import OfflineManager

#: What the fixtures `manager_of` and `follow` are.
ManagerOf = Callable[..., OfflineManager]

EVENTS = "Content-Type: text/event-stream"
#: The greeting of a stream that goes on where its reader is, and counts as dead after a quarter of a second.
HELLO = b'event: connected\ndata: {"protocol": 1, "resume": "current", "heartbeatMs": 100}\n\n'


def refusal(status: str, *fields: str) -> Answer:
    """Return an answer with this status and no more."""
    return Answer(status, b"{}", ("Content-Length: 2", *fields))


def stream(body: bytes = HELLO, *fields: str, ending: Ending = Ending.HANG) -> Answer:
    """Return a stream that says this and then nothing more."""
    return Answer("200 OK", body, fields or (EVENTS,), ending=ending)


def kind_of(manager: OfflineManager) -> str | None:
    """Return the kind of what keeps a manager's stream from working."""
    return getattr(manager.status.last_error, "kind", None)


class Switch:
    """A flag that is on or off.

    Attributes:
        key: its key.
        on: what it is now.
    """

    def __init__(self, server: LiveServer, key: str) -> None:
        self.key = key
        self.on = True
        self._server = server
        self._id = server.create_flag(key, enabled=True)

    def turn(self) -> None:
        """Switch it."""
        self.on = not self.on
        self._server.switch(self._id, self.on)

    def shows(self, manager: OfflineManager) -> bool:
        """Return whether a manager evaluates it as it is now."""
        return manager.is_enabled(self.key, "u") is self.on

    def arrives(self, manager: OfflineManager, limit: float = 8.0) -> None:
        """Switch it, and wait until the manager evaluates that."""
        self.turn()
        until(lambda: self.shows(manager), limit)
