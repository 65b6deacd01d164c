"""A change a second, directly at the server, as long as it answers; what was acknowledged is noted."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Self

import httpx2

from .truth import Truth

#: Seconds between two changes, and flags that are changed by turns.
_PERIOD, FLAGS = 1.0, 50


class Writer:
    """Writes in a thread, from `with` to its end.

    Attributes:
        failed: edits that were not acknowledged.
    """

    def __init__(self, url: str, truth: Truth) -> None:
        self.failed = 0
        self._truth = truth
        self._http = httpx2.Client(base_url=f"{url}/api/v1", trust_env=False, timeout=5.0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        for number in range(1, FLAGS + 1):
            self._note(self._http.post("/flags", json={"key": f"k{number}", "description": ""}))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._http.close()

    def state(self) -> dict[str, Any]:
        """Return what the server has."""
        answer = self._http.get("/export/eval_cache/json", params={"view": "full"})
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _run(self) -> None:
        number = 0
        while not self._ended.wait(_PERIOD):
            number += 1
            path = f"/flags/{number % FLAGS + 1}"
            try:
                if number % 2:
                    self._note(self._http.put(f"{path}/enabled", json={"enabled": number % 4 == 1}))
                else:
                    self._note(self._http.put(path, json={"description": str(number)}))
            except httpx2.HTTPError:
                # The server is away, which is a fault's doing; whether the edit was committed is not known.
                self.failed += 1

    def _note(self, answer: httpx2.Response) -> None:
        answer.raise_for_status()
        self._truth.acknowledged(answer.json()["snapshotID"], time.monotonic())
