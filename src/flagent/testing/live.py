"""A real server for a test, in a thread of this process, on flags that are gone with it."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import msgspec

from ..client.address import API
from ..client.api import FlagentClient
from ..client.async_offline import AsyncOfflineManager
from ..client.call import Call, json_body, nothing
from ..client.offline import OfflineManager
from ..core.documents import export_document
from ..core.given import flag_of
from ..server.local import LocalServer
from . import interception

#: Seconds between two looks at whether a manager is current.
_LOOKS = 0.005


class LiveServer:
    """A context manager around a server with an SQLite database of its own.

        with LiveServer() as server:
            server.set("new_checkout", True)
            with flagent.connect(server.url) as flags:
                ...

    Connections are allowed while it is entered, also where the plugin for pytest blocks them.

    Attributes:
        url: where it listens, such as `http://127.0.0.1:40123`.
        client: a client of its REST API.
    """

    url: str
    client: FlagentClient

    def __init__(self) -> None:
        self._server = LocalServer(0)
        self._allowed = interception.allowed()

    def set(self, key: str, value: Any) -> None:
        """Make a flag, or give it another value; returns when the server has sent it to every stream.

        Args:
            key: key of the flag.
            value: as `flagent.testing.override` takes it; a `flagent.Flag` has rules, too.

        Raises:
            ConfigurationError: the key or the value can't be those of a flag.
        """
        document = msgspec.json.encode(export_document([flag_of(key, value)])).decode()
        body = json_body(format="json", content=document)
        self.client.send(Call("POST", f"{API}/import", nothing, body))

    def wait_for(self, manager: OfflineManager | AsyncOfflineManager, timeout: float = 5.0) -> None:
        """Return when a manager holds what the server has now.

        Not on the event loop of an `AsyncOfflineManager`, which this would hold up.

        Raises:
            TimeoutError: it does not, after `timeout` seconds.
        """
        wanted = str(self.client.snapshot().cursor)
        end = time.monotonic() + timeout
        while (status := manager.status).cursor != wanted:
            if time.monotonic() > end:
                raise TimeoutError(f"{manager!r} is at {status.cursor}, not {wanted}, after {timeout:g} s")
            time.sleep(_LOOKS)

    def __enter__(self) -> Self:
        self._allowed.__enter__()
        try:
            self.url = self._server.__enter__().url
        except BaseException:
            self._allowed.__exit__(None, None, None)
            raise
        self.client = FlagentClient(self.url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._server.__exit__(kind, exc, trace)
        self._allowed.__exit__(None, None, None)
