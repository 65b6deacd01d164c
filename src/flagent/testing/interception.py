"""Where tests get between a program and its managers: the one place that reaches into the SDK.

Three things, each undone by nothing but the end of the process, and without effect while nobody asks for it:

* What a manager evaluates on is looked up through `overrides.ruleset_seen`. What its session keeps fresh is not
  touched: it may be live meanwhile.
* A manager that lets the server evaluate answers overridden flags by itself.
* While connections are blocked, managers of a server do not try to reach it, and everything else that does fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import msgspec

from ..client.asking import Asking, Steps
from ..client.config import ClientSettings
from ..client.local import LocalFlags
from ..client.questions import Question
from ..client.replica import Replica
from ..client.session import Session
from ..client.transport import Transport
from ..core.evaluation import Ruleset
from ..core.results import EvalResult
from ..errors import FlagentError
from .overrides import OverriddenRuleset, UnknownListener, ruleset_seen


class SocketsBlocked(FlagentError):
    """A test made the SDK reach for a server."""


_WAY_OUT = (
    "set it with the fixture `flagent_flags` or with `flagent.testing.override(...)`; for a test with a real server "
    "there is the fixture `live_server`, and for other connections the marker `flagent_sockets`"
)

#: Who is told of unknown flags while connections are blocked.
unknown_flags = UnknownListener(_WAY_OUT)


class _Switch:
    """Whether connections are blocked; those who allow them count."""

    def __init__(self) -> None:
        self.blocks = False
        self._allowed = 0
        self._lock = threading.Lock()

    @property
    def blocked(self) -> bool:
        return self.blocks and not self._allowed

    def allow(self, by: int) -> None:
        with self._lock:
            self._allowed += by


_switch = _Switch()


def block() -> None:
    """Block connections from now on, except while `allowed` is entered."""
    install()
    _switch.blocks = True


@contextmanager
def allowed() -> Iterator[None]:
    """Allow connections meanwhile."""
    _switch.allow(1)
    try:
        yield
    finally:
        _switch.allow(-1)


def is_blocked() -> bool:
    """Return whether connections are blocked."""
    return _switch.blocked


def ruleset_now(base: Ruleset | None) -> Ruleset | None:
    """Return what is evaluated where a manager holds `base`."""
    return ruleset_seen(base, unknown_flags if _switch.blocked else None)


_installed = threading.Lock()


def install() -> None:
    """Get between; more than once does no harm."""
    if not _installed.acquire(blocking=False):
        return
    LocalFlags._replica = _ReplicaOfManager()  # type: ignore[assignment]  # noqa: SLF001
    Asking.cached = _cached(Asking.cached)  # type: ignore[method-assign]
    Asking.answers = _answers(Asking.answers)  # type: ignore[method-assign]
    for name, instead in (("bootstrap", None), ("refresh", None), ("follow", None), ("wait_ready", True)):
        setattr(Session, name, _unless_blocked(getattr(Session, name), instead))
    for name in ("request", "open"):
        setattr(Transport, name, _refused(getattr(Transport, name)))


class _ReplicaOfManager:
    """The attribute `_replica` of managers: what they have there, as tests want it seen."""

    def __get__(self, manager: LocalFlags | None, _owner: type) -> Any:
        return self if manager is None else _SeenReplica(manager.__dict__["_replica"])

    def __set__(self, manager: LocalFlags, replica: Replica) -> None:
        manager.__dict__["_replica"] = replica


class _SeenReplica:
    """A replica whose ruleset is what tests want it to be."""

    __slots__ = ("_replica",)

    _replica: Replica

    def __init__(self, replica: Replica) -> None:
        object.__setattr__(self, "_replica", replica)

    def __getattr__(self, name: str) -> Any:
        if name in ("ruleset", "ready"):
            ruleset = ruleset_now(self._replica.ruleset)
            return ruleset if name == "ruleset" else {} if ruleset is None else ruleset.ready
        return getattr(self._replica, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._replica, name, value)

    def hold(self, ruleset: Ruleset | None) -> None:
        """Let this be what is evaluated, without what tests want it to be."""
        self._replica.hold(ruleset.base if isinstance(ruleset, OverriddenRuleset) else ruleset)


def _overridden(question: Question) -> EvalResult | None:
    """Return the answer to a question of a manager that lets the server evaluate, or None if it is the server's."""
    ruleset = ruleset_now(None)
    if ruleset is None:
        return None
    key, flag_id = question.flag
    if not _switch.blocked and (ruleset.flag(key) if key is not None else ruleset.snapshot.by_id(flag_id or 0)) is None:
        return None
    entity = question.entity
    context: Any = entity.entity_context
    if isinstance(context, msgspec.Raw):
        context = msgspec.json.decode(context)
    if key is None:
        return ruleset.evaluate_id(flag_id or 0, entity.entity_id, context, debug=question.debug)
    return ruleset.evaluate(key, entity.entity_id, context, debug=question.debug)


def _cached(cached: Callable[[Asking, Question], EvalResult | None]) -> Any:
    @wraps(cached)
    def instead(self: Asking, question: Question) -> EvalResult | None:
        self.check_open()
        return _overridden(question) or cached(self, question)

    return instead


def _answers(answers: Callable[[Asking, Sequence[Question], object], Steps]) -> Any:
    @wraps(answers)
    def instead(self: Asking, questions: Sequence[Question], asker: object) -> Steps:
        self.check_open()
        found = {each.key: result for each in questions if (result := _overridden(each)) is not None}
        left = [each for each in questions if each.key not in found]
        return found | ((yield from answers(self, left, asker)) if left else {})

    return instead


def _unless_blocked(method: Callable[..., Any], result: Any) -> Any:
    @wraps(method)
    async def instead(self: Session, *args: Any, **options: Any) -> Any:
        if _switch.blocked and isinstance(self.target, ClientSettings):
            return result
        return await method(self, *args, **options)

    return instead


def _refused(method: Callable[..., Any]) -> Any:
    @wraps(method)
    async def instead(self: Transport, *args: Any, **options: Any) -> Any:
        if _switch.blocked:
            raise SocketsBlocked(f"a test reached for {self.settings.root}: {_WAY_OUT}")
        return await method(self, *args, **options)

    return instead
