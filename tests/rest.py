"""The REST API as tests speak it: real HTTP to a live server, one call a line."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx2
from compat.responses import check
from live import LiveServer

from flagent.core.changes import Change


class Rest:
    """A client of a live server.

    Attributes:
        server: the server.
    """

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self._client = httpx2.Client(
            base_url=f"{server.url}/api/v1", timeout=10, verify=False, event_hooks={"response": [check]}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def ask(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        """Return the answer, whatever it is; `body` is sent as JSON, or as it is when it is bytes."""
        if body is None or isinstance(body, bytes):
            return self._client.request(method, path, content=body, headers=headers)
        return self._client.request(method, path, json=body, headers=headers)

    def get(self, path: str) -> Any:
        """Return the JSON of a GET that must succeed."""
        return self._json(self.ask("GET", path))

    def post(self, path: str, body: Any = None) -> Any:
        """Return the JSON of a POST that must succeed."""
        return self._json(self.ask("POST", path, body))

    def put(self, path: str, body: Any = None) -> Any:
        """Return the JSON of a PUT that must succeed; None when the answer is empty."""
        return self._json(self.ask("PUT", path, body))

    def delete(self, path: str) -> None:
        """DELETE, which must succeed with an empty answer."""
        answer = self.ask("DELETE", path)
        assert (answer.status_code, answer.content) == (200, b""), answer.text

    def flag(self, key: str | None = None, **body: Any) -> Any:
        """Make a flag and return it."""
        return self.post("/flags", {"description": "d", "key": key, **body})

    def refusal(self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """Return status and message of a request that must be refused in the one form that errors have."""
        answer = self.ask(method, path, body, headers=headers)
        assert answer.status_code >= 400, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert list(answer.json()) == ["message"]
        return answer.status_code, answer.json()["message"]

    def revision(self) -> int:
        """Return the newest revision."""
        revision = self.get("/flags/snapshots/max_id")["maxID"]
        assert isinstance(revision, int)
        return revision

    def changes(self, after: int) -> list[Change]:
        """Return what the log holds after a revision, as it would be read after a restart."""
        return self.server.run(self.server.services.storage.changes_after(after))

    @staticmethod
    def _json(answer: httpx2.Response) -> Any:
        assert answer.status_code == 200, answer.text
        if not answer.content:
            return None
        assert answer.headers["content-type"] == "application/json"
        return answer.json()
