"""The socket that a server listens at: where it is, and what is wrong when it can't be had."""

from __future__ import annotations

import errno
import socket

from ..errors import ConfigurationError

#: Connections that wait to be accepted: all clients may come back at once.
BACKLOG = 4096


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that has this address, and does not listen yet.

    Raises:
        ConfigurationError: the address is taken, or none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise _address_error(host, port, exc) from exc
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as exc:
        bound.close()
        raise _address_error(host, port, exc) from exc
    return bound


def listen(bound: socket.socket, host: str, port: int) -> None:
    """Let clients connect.

    Raises:
        ConfigurationError: another server was first.
    """
    try:
        bound.listen(BACKLOG)
    except OSError as exc:
        raise _address_error(host, port, exc) from exc


def url_of(bound: socket.socket) -> str:
    """Return the URL of a server on this socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _address_error(host: str, port: int, exc: OSError) -> ConfigurationError:
    if exc.errno == errno.EADDRINUSE:
        return ConfigurationError(f"port {port} of {host} is in use: choose another with FLAGENT_PORT, or 0 for any")
    return ConfigurationError(f"can't listen at {host} port {port}: {exc.strerror or exc}")
