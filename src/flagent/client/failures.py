"""What went wrong below HTTP, in our words: kind and sentence, without anything secret."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from ..errors import TransportError

#: What an exception in the chain of causes says; the first line that fits counts.
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "dns"),
    (ssl.SSLError, "tls"),
    (ConnectionRefusedError, "refused"),
)
_PROTOCOL_ERRORS = frozenset(
    {"RemoteProtocolError", "LocalProtocolError", "DecodingError", "UnsupportedProtocol", "InvalidURL", "ValueError"}
)
#: What the library says, in an exception for wrong answers, of one that came to no end, or did not begin.
_HUNG_UP = ("peer closed connection", "Server disconnected")


def transport_error(what: str, exc: Exception, timeout: float | None = None) -> TransportError:
    """Return the exception of ours for one of another library.

    Args:
        what: the request, for the message.
        exc: what was raised.
        timeout: the limit that was in force, for the message.
    """
    for kind, found in _known(exc):
        return TransportError(f"{what}: {_SENTENCES[kind]}{_detail(found)}", kind=kind)
    name = type(exc).__name__
    if name == "ProxyError":
        # A refusal of a CONNECT is a text that begins with its status.
        kind = "proxy_auth" if str(exc).startswith("407") else "proxy"
        return TransportError(f"{what}: {_SENTENCES[kind]}{_detail(exc)}", kind=kind)
    if isinstance(exc, TimeoutError) or name.endswith("Timeout"):
        limit = "" if timeout is None else f" within {timeout:g} s"
        return TransportError(f"{what}: no answer{limit}", kind="timeout")
    kind = "protocol" if name in _PROTOCOL_ERRORS and not str(exc).startswith(_HUNG_UP) else "network"
    return TransportError(f"{what}: {_SENTENCES[kind]}{_detail(exc)}", kind=kind)


_SENTENCES = {
    "dns": "the host name can't be resolved",
    "tls": "TLS failed",
    "refused": "the connection was refused",
    "proxy": "the proxy does not let it through",
    "proxy_auth": "the proxy wants a user name and a password, or others",
    "protocol": "the answer is no proper HTTP",
    "network": "the connection broke",
}


def is_tls(exc: BaseException) -> bool:
    """Return whether TLS failed."""
    return any(kind == "tls" for kind, _ in _known(exc))


def _known(exc: BaseException) -> Iterator[tuple[str, BaseException]]:
    for cause in _causes(exc, 0):
        if isinstance(cause, ssl.SSLWantReadError | ssl.SSLWantWriteError):
            # No failure: a handshake was waiting for more, which is all that went on.
            continue
        for type_, kind in _KINDS:
            if isinstance(cause, type_):
                yield kind, cause


def _causes(exc: BaseException, depth: int) -> Iterator[BaseException]:
    yield exc
    if depth > 20:
        return
    if isinstance(exc, BaseExceptionGroup):
        for each in exc.exceptions:
            yield from _causes(each, depth + 1)
    following = exc.__cause__ or exc.__context__
    if following is not None:
        yield from _causes(following, depth + 1)


def _detail(exc: BaseException) -> str:
    text = str(exc).strip()
    return f" ({text[:200]})" if text else f" ({type(exc).__name__})"
