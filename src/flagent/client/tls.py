"""Which certificates are trusted, and which are shown: read from their files, again after each failure."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class TLS:
    """Certificates for connections to a server.

    The files are read with the first connection, and again when a connection fails because of them: certificates
    can be replaced under running programs.

    Attributes:
        ca: file (PEM) or folder of the authorities that are trusted; None for those of the system, or what the
            variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
        certificate: file (PEM) of the certificate to show to the server, with its chain; None for none.
        private_key: file (PEM) of its key; None where it is in the same file.
        password: of the key, or a function that returns it. Never shown.

    Raises:
        ConfigurationError: a member can't be used.
    """

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    private_key: str | os.PathLike[str] | None = None
    password: str | Callable[[], str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("ca", "certificate", "private_key"):
            value: Any = getattr(self, name)
            if value is not None and (not isinstance(value, str | os.PathLike) or not os.fspath(value)):
                raise ConfigurationError(f"tls: {name} must be a path, not {value!r}")
        if self.certificate is None and (self.private_key is not None or self.password is not None):
            raise ConfigurationError("tls: a key or a password needs the certificate that it belongs to")

    def context(self) -> ssl.SSLContext:
        """Return what connections are made with.

        Raises:
            ConfigurationError: a file can't be read, or is none of that kind; the message names it.
        """
        context = self._trusting()
        if self.certificate is not None:
            # Asked in vain, OpenSSL would ask the terminal.
            password = "" if self.password is None else self.password
            files = os.fspath(self.certificate)
            files += "" if self.private_key is None else f" with the key {os.fspath(self.private_key)}"
            try:
                context.load_cert_chain(self.certificate, self.private_key, password)
            except (OSError, ValueError, TypeError) as exc:
                raise ConfigurationError(f"tls: certificate {files} can't be used: {_reason(exc)}") from exc
        return context

    def _trusting(self) -> ssl.SSLContext:
        if self.ca is None:
            return ssl.create_default_context()
        try:
            if Path(self.ca).is_dir():
                return ssl.create_default_context(capath=self.ca)
            return ssl.create_default_context(cafile=self.ca)
        except (OSError, ValueError) as exc:
            raise ConfigurationError(f"tls: ca {os.fspath(self.ca)!r} can't be used: {_reason(exc)}") from exc


def _reason(exc: Exception) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or getattr(exc, "reason", None) or str(exc)
