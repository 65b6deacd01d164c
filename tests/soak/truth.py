"""What is true, and what clients say, held against each other."""

from __future__ import annotations

import threading
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

#: Seconds by which a client may understate its staleness: the way of a change to the server, and its own looks.
MARGIN = 2.0
#: States in which `staleness_bound` is promised to hold.
_BOUND = frozenset({"live", "polling"})


class Truth:
    """The revisions that were acknowledged, and when, on the monotonic clock that all processes of a machine share."""

    def __init__(self) -> None:
        # Guards both lists: the writer appends, who reads reports looks.
        self._lock = threading.Lock()
        self._revisions: list[int] = []
        self._times: list[float] = []

    def acknowledged(self, revision: int, at: float) -> None:
        """Note a change."""
        with self._lock:
            self._revisions.append(revision)
            self._times.append(at)

    @property
    def count(self) -> int:
        """How many changes there were."""
        return len(self._revisions)

    @property
    def newest(self) -> int:
        """The newest revision that was acknowledged; 0 for none."""
        with self._lock:
            return self._revisions[-1] if self._revisions else 0

    def outdated_since(self, revision: int) -> float | None:
        """Return when the first change after a revision was acknowledged; None when there was none."""
        with self._lock:
            place = bisect_right(self._revisions, revision)
            return self._times[place] if place < len(self._times) else None


@dataclass
class Findings:
    """What was wrong, and how stale clients were.

    Attributes:
        wrong: what must not be, in words; the first hundred.
        count: how often.
        most_stale: the greatest staleness that was said, in seconds.
        most_over: by how many seconds a client was staler than the bound that it stated; the greatest.
        most_hidden: by how many seconds a client was staler than it said; the greatest.
        samples: how many statements were looked at.
    """

    wrong: list[str] = field(default_factory=list)
    count: int = 0
    most_stale: float = 0.0
    most_over: float = 0.0
    most_hidden: float = 0.0
    samples: int = 0

    def say(self, what: str) -> None:
        """Note something that must not be."""
        self.count += 1
        if len(self.wrong) < 100:
            self.wrong.append(what)


class Judge:
    """Looks at everything that the clients of one process say."""

    def __init__(self, name: str, truth: Truth, findings: Findings) -> None:
        self._name = name
        self._truth = truth
        self._findings = findings
        self._seen: dict[int, int] = {}

    def look(self, clients: list[dict[str, Any]]) -> None:
        """Look at one report."""
        for number, said in enumerate(clients):
            self._findings.samples += 1
            self._look_at(number, said)

    def _look_at(self, number: int, said: dict[str, Any]) -> None:
        if said["cursor"] is None:
            return
        findings, revision = self._findings, int(said["cursor"].rpartition(":")[2])
        if revision < self._seen.get(number, 0):
            findings.say(f"{self._name}/{number} went back from {self._seen[number]} to {revision}")
        self._seen[number] = revision
        if said["divergences"]:
            findings.say(f"{self._name}/{number} diverged {said['divergences']} times")
        staleness, bound = said["staleness"], said["bound"]
        since = self._truth.outdated_since(revision)
        hidden = 0.0 if since is None else said["at"] - since - staleness
        findings.most_hidden = max(findings.most_hidden, hidden)
        if hidden > MARGIN:
            findings.say(f"{self._name}/{number} says {staleness:.1f} s, and is {hidden:.1f} s staler: {said}")
        findings.most_stale = max(findings.most_stale, staleness)
        if bound is not None and said["state"] in _BOUND:
            findings.most_over = max(findings.most_over, staleness - bound)
            if staleness > bound + MARGIN:
                findings.say(f"{self._name}/{number} says {staleness:.1f} s, beyond its bound of {bound:.1f} s: {said}")
