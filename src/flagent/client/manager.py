"""The manager that lets the server evaluate, for programs without asyncio."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .api import AsyncFlagentClient, FlagentClient
from .asking import Asking, Flight
from .loading import QUESTIONS, load
from .manager_config import ManagerConfig, settings_of

if TYPE_CHECKING:
    from ..core.results import EvalResult
    from .asking import Step, Steps
    from .batches import EvalRequest
    from .questions import Question
    from .status import ManagerStatus

#: Seconds by which waiting for somebody else's request outlasts the limit that the request itself has.
_MARGIN = 2.0


class Manager:
    """Lets the server evaluate flags, and gives its answers again for a while.

    For programs that may not hold all flags, or evaluate seldom; others are better served by
    `OfflineManager`, which needs no request and notices changes at once. An answer is given again, without
    a request, to the same question: the same flag, entity, type of entity and context, whatever the order
    of its members. Answers do not follow changes of flags before they are `cache_ttl` seconds old. They
    are shared, so an attachment must not be altered.

    The same question asked by several threads at once is one request. While the server can't be reached,
    or answers 5xx or 429, or with something that is no answer, an older answer is given: up to
    `stale_if_error` seconds longer. `status.stale` counts them; nothing in the result tells. Where there is
    none, and whenever the server refuses the client or the question, the exception is raised. Failures
    are never kept.

    Making one does no I/O and starts no thread; the first question does. Every method may be called from any
    thread. A forked child has the answers of its parent, and connections of its own.

        with Manager("http://localhost:18000") as manager:
            manager.is_enabled("new_feature", "user123", {"region": "EU"})

    Args:
        client: where the server is, as a URL or as the client that knows it. The manager makes
            connections of its own: the client need not be open, and is not closed.
        config: how long answers are kept.
        clock: returns seconds that only grow; for tests.

    Raises:
        ConfigurationError: the URL can't be used.
    """

    def __init__(
        self,
        client: FlagentClient | AsyncFlagentClient | str,
        config: ManagerConfig | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        config = config or ManagerConfig()
        settings = settings_of(client, config)
        self._client = FlagentClient(
            settings.root,
            settings.api_key,
            timeout=settings.timeout,
            tls=settings.tls,
            proxy=settings.proxy,
            http_client=settings.http_client,
        )
        self._asking = Asking(config, clock)

    def evaluate(
        self,
        flag_key: str,
        entity_id: str,
        entity_context: Mapping[str, Any] | None = None,
        *,
        entity_type: str | None = None,
        debug: bool = False,
    ) -> EvalResult:
        """Return what a flag is for an entity.

        Args:
            flag_key: key of the flag; an unknown one gives the reason `FLAG_NOT_FOUND`.
            entity_id: who; decides on the bucket, and so on rollout and variant. For an empty one the server
                draws an id, each time anew.
            entity_context: properties that constraints look at; None for none. What JSON doesn't know counts by its
                text, as in `OfflineManager`; a context that can't be read gives the reason `ERROR`.
            entity_type: kind of the entity; None for the flag's own.
            debug: whether `debug_logs` of the result says what each segment decided.

        Raises:
            FlagentError: no answer came, for this reason, and there is none in the cache to be given instead.
            Closed: the manager is closed.
        """
        load(QUESTIONS)
        from .questions import Question, question

        asked = question(flag_key, entity_id, entity_context, entity_type=entity_type, debug=debug)
        if not isinstance(asked, Question):
            self._asking.check_open()
            return asked
        answer = self._asking.cached(asked)
        return self._answered([asked])[asked.key] if answer is None else answer

    def is_enabled(self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> bool:
        """Return whether the flag has a variant for the entity; False when there is no such flag.

        Raises:
            FlagentError: see `evaluate`.
        """
        return self.evaluate(flag_key, entity_id, entity_context).variant_key is not None

    def get_variant(self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> str | None:
        """Return the key of the entity's variant of the flag, or None.

        Raises:
            FlagentError: see `evaluate`.
        """
        return self.evaluate(flag_key, entity_id, entity_context).variant_key

    def evaluate_batch(self, requests: Iterable[EvalRequest]) -> list[EvalResult]:
        """Return the results of many evaluations, in order; what is not in the cache is asked for in one request.

        Very many of them are more requests: each is for at most 10,000 results, and its answers are kept
        as it succeeds.

        Raises:
            FlagentError: see `evaluate`; there is no answer to at least one of them.
        """
        load(QUESTIONS)
        from .questions import Question, questions_of

        asked = questions_of(requests)
        found = self._answered([each for each in asked if isinstance(each, Question)])
        return [found[each.key] if isinstance(each, Question) else each for each in asked]

    def clear_cache(self) -> None:
        """Forget all answers, and do not keep those that are on their way."""
        self._asking.clear()

    @property
    def status(self) -> ManagerStatus:
        """What was answered from the cache, what was asked, and what failed."""
        return self._asking.status()

    def close(self) -> None:
        """Close all connections, within 2 seconds; more than once does no harm. Nothing is answered after that.

        It may be called from any thread. Evaluations that wait raise `Closed`.
        """
        self._asking.closed = True
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Manager of {self._client.settings.root}>"

    def _answered(self, questions: list[Question]) -> dict[Hashable, EvalResult]:
        steps: Steps = self._asking.answers(questions, threading.get_ident())
        try:
            step = next(steps)
            while True:
                try:
                    outcome = self._outcome(step)
                except BaseException as exc:  # noqa: BLE001 - it is raised inside, where it belongs
                    step = steps.throw(exc)
                else:
                    step = steps.send(outcome)
        except StopIteration as end:
            answers: dict[Hashable, EvalResult] = end.value
            return answers
        finally:
            steps.close()

    def _outcome(self, step: Step) -> Any:
        if isinstance(step, Flight):
            return step.outcome.result(self._client.settings.timeout + _MARGIN)
        return self._client.send(step)
