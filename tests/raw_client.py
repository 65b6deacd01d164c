"""What a client that knows nothing of HTTP reads from its connection."""

from __future__ import annotations

import socket


def received(client: socket.socket, wanted: bytes) -> bytes:
    """Return all that comes until `wanted` has come."""
    found = b""
    while wanted not in found:
        chunk = client.recv(65536)
        assert chunk, f"the connection ended after {found!r}"
        found += chunk
    return found


def is_cut(client: socket.socket) -> bool:
    """Wait until the server ends the connection."""
    try:
        while client.recv(65536):
            pass
    except ConnectionError:
        pass
    return True
