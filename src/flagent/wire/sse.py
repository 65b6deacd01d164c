"""Server-Sent Events as bytes, after the WHATWG HTML standard, section 9.2 (server-sent events).

`Parser` takes a stream cut anywhere and returns the events that it completes, in linear time and
with bounded memory. It neither reads sockets nor knows the time.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import EventTooLarge

#: More than the largest snapshot that anyone should send in one event.
MAX_EVENT_BYTES = 64 * 2**20

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
#: Digits of a `retry` that are worth reading, a year has 11 digits of milliseconds; more of them mean "very long".
_MAX_RETRY_DIGITS = 12


class Event(NamedTuple):
    """One dispatched event.

    Attributes:
        type: its name; `message` when it has none.
        data: its data lines, joined by line feeds, as they came: bytes that should be UTF-8. What
            to do with bytes that are not is the reader's decision.
        id: the last id of the stream, also when an earlier event brought it.
    """

    type: str
    data: bytes
    id: str


def encode(data: bytes, *, event: str = "", id: str = "") -> bytes:
    """Return an event as it goes over the wire; line ends inside `data` begin further data lines.

    An event without data is never dispatched by readers: it only carries its id.
    """
    head = (f"event: {event}\n" if event else "") + (f"id: {id}\n" if id else "")
    if not data:
        return head.encode() + b"\n"
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return b"%sdata: %s\n\n" % (head.encode(), data)


def comment(text: str) -> bytes:
    """Return a comment of one line, which every reader ignores."""
    return f": {text}\n\n".encode()


def retry(milliseconds: int) -> bytes:
    """Return the field that sets how long readers wait before they reconnect."""
    return f"retry: {milliseconds}\n\n".encode()


class Parser:
    """Turns chunks of a stream into events.

    Attributes:
        last_event_id: the id that a reconnecting reader sends.
        retry_ms: the wait that the server asked for last, or None.
        signs_of_life: how many comments and ends of events were seen. Liveness is shown by these, not by
            bytes or lines, of which a peer could send a few for ever without ever saying anything.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self.signs_of_life = 0
        self._max_event_bytes = max_event_bytes
        # The line that is not complete yet. Appending is cheap, and only what is new is searched for
        # its end, so that a huge line in small chunks costs linear time.
        self._partial = bytearray()
        self._at_start = True
        self._skip_line_feed = False
        self._refused = False
        # Counts when its event is complete: a reader whose connection broke in mid-event hasn't seen that event.
        self._id = last_event_id
        self._clear()

    def _clear(self) -> None:
        self._type = b""
        self._data: list[bytes] = []
        self._size = 0

    @property
    def in_event(self) -> bool:
        """Whether an event, or a line, has begun and is not complete yet."""
        return bool(self._partial or self._data or self._type)

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completes.

        Raises:
            EventTooLarge: an event, or a line of one, exceeds the limit. Events that came before it are
                returned first; then every call raises.
        """
        if self._refused:
            self._check(0)
        if self._skip_line_feed and chunk:
            # A carriage return ends a line at once; the line feed that may follow belongs to it.
            self._skip_line_feed = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return []
        if b"\r" in chunk:
            self._skip_line_feed = chunk.endswith(b"\r")
            # Several times as fast as a regular expression.
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = chunk.split(b"\n")
        rest = lines.pop()
        events: list[Event] = []
        try:
            if lines and self._partial:
                lines[0] = self._completed(lines[0])
            for line in lines:
                # With the byte order mark, so that it makes no difference where the stream is cut.
                if self._refused or self._size + len(line) > self._max_event_bytes:
                    self._check(len(line))
                if self._at_start:
                    self._at_start = False
                    line = line.removeprefix(_BOM)  # noqa: PLW2901
                if line:
                    self._take(line)
                elif (event := self._dispatch()) is not None:
                    events.append(event)
            if rest:
                self._keep(rest)
        except EventTooLarge:
            if not events:
                raise
        return events

    def _keep(self, piece: bytes) -> None:
        self._check(len(self._partial) + len(piece))
        self._partial += piece

    def _completed(self, piece: bytes) -> bytes:
        self._keep(piece)
        line = bytes(self._partial)
        self._partial = bytearray()
        return line

    def _check(self, more: int) -> None:
        if self._refused or self._size + more > self._max_event_bytes:
            self._refused = True
            self._partial = bytearray()
            self._clear()
            raise EventTooLarge(f"an event of the stream has more than {self._max_event_bytes} bytes")

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._size += len(line)
            self._data.append(value)
        elif name == b"event":
            self._type = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            # bytes.isdigit knows only ASCII.
            digits = value.lstrip(b"0") or b"0"
            self.retry_ms = int(digits) if len(digits) <= _MAX_RETRY_DIGITS else 10**_MAX_RETRY_DIGITS
        elif not name:
            self.signs_of_life += 1

    def _dispatch(self) -> Event | None:
        self.signs_of_life += 1
        self.last_event_id = self._id
        type_, data = self._type, self._data
        self._clear()
        if not data:
            return None
        return Event(type_.decode("utf-8", "replace") or "message", b"\n".join(data), self.last_event_id)
