"""Every exception of flagent, in one tree; for each: whose fault it is, and whether retrying helps.

    FlagentError
    ├── ConfigurationError    the caller's: an argument or setting; retrying does not help
    ├── InvalidFlag           the caller's: a flag or a part of it breaks a rule; retrying does not help
    ├── NotFound              the caller's: it names something that is not there; retrying does not help
    ├── Conflict              nobody's: another writer was first; look again and retry
    ├── StorageUnavailable    the operator's: the database does not answer; retrying helps later
    ├── ServerFailed          the operator's: a server can't keep its processes running; its log says more
    ├── DecodeError           the peer's: bytes that are no valid update; a snapshot helps
    │   └── EventTooLarge     the peer's: an event over the limit; a snapshot helps
    ├── Diverged              a bug's or a proxy's: the state does not add up; a snapshot helps
    ├── TransportError        the network's: no usable answer came; retrying helps
    │   └── StreamBroken      the network's or the server's: this stream is over; a new one may work
    ├── HTTPStatusError       see `status`: the server answered, but not with what was asked for
    │   └── Refused           the caller's or the operator's: a wrong key or address; only a change there helps
    ├── NotReady              the caller's or the network's: there is no snapshot yet; waiting may help
    └── Closed                the caller's: the object was closed; retrying does not help

Messages name the thing, the value and the way out, and never a secret.
"""

from __future__ import annotations


class FlagentError(Exception):
    """The root of every exception that flagent raises on purpose."""


class ConfigurationError(FlagentError, ValueError):
    """An argument, setting or environment variable can't be used as it is."""


class InvalidFlag(FlagentError, ValueError):
    """A flag, or an edit of one, breaks a rule; the message names the field and the value."""


class NotFound(FlagentError, LookupError):
    """Nothing of that id or key exists."""


class Conflict(FlagentError):
    """Another writer took the revision first: look at the newest state and try again."""


class StorageUnavailable(FlagentError):
    """The database can't be reached or refuses to work; nothing was written."""


class ServerFailed(FlagentError):
    """The processes of a server end as soon as they are started."""


class DecodeError(FlagentError, ValueError):
    """Bytes of a peer that are not a valid snapshot, change or answer."""


def fault_of(error: Exception) -> str:
    """Return what a decoder finds wrong with a document, in the same words for all versions of Python and libraries."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"Invalid UTF-8 at byte {error.start}"
    return str(error)


class EventTooLarge(DecodeError):
    """An event of a stream, or a line of one, exceeds the limit."""


class Diverged(FlagentError):
    """An update does not lead to the digest it announces; what is held may be wrong."""


class TransportError(FlagentError):
    """No usable answer came: DNS, connection, TLS, timeout, or the connection broke.

    Attributes:
        kind: one of `dns`, `refused`, `timeout`, `tls`, `proxy`, `proxy_auth`, `network`, `protocol`; also `file`,
            of flags in a file, and `goodbye`, `incompatible` and `buffered`, of a stream (which was accepted but does
            not begin, as behind a proxy that holds it back).
    """

    def __init__(self, message: str, *, kind: str = "network") -> None:
        super().__init__(message)
        self.kind = kind


class StreamBroken(TransportError):
    """The stream can't be used any further; a new one may work."""


class HTTPStatusError(FlagentError):
    """The server answered with a status that is no success.

    Attributes:
        status: the HTTP status code.
        retry_after: seconds that the server asks to wait, or None.
    """

    def __init__(self, message: str, *, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Refused(HTTPStatusError):
    """The server will not serve this client (401, 403, 404, 410): only a change of key or address helps."""


class NotReady(FlagentError):
    """There is no snapshot to evaluate on yet."""


class Closed(FlagentError):
    """The object was closed and can't be used again."""
