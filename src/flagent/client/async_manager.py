"""The manager that lets the server evaluate, for asyncio: `Manager`, awaited."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .api import AsyncFlagentClient, FlagentClient
from .asking import Asking, Flight
from .loading import QUESTIONS, load_aside
from .loop_thread import STOP_TIMEOUT
from .manager_config import ManagerConfig, settings_of

if TYPE_CHECKING:
    from ..core.results import EvalResult
    from .asking import Step, Steps
    from .batches import EvalRequest
    from .questions import Question
    from .status import ManagerStatus

#: Seconds by which waiting for somebody else's request outlasts the limit that the request itself has.
_MARGIN = 2.0


class AsyncManager:
    """Lets the server evaluate flags, and gives its answers again for a while; `Manager` tells all about it.

    Its coroutines belong to one event loop. The same question asked by several tasks at once is one
    request; when the task that sent it is cancelled, another sends it again. In a forked child, make a
    new one on the child's event loop.

        async with AsyncManager("http://localhost:18000") as manager:
            await manager.is_enabled("new_feature", "user123", {"region": "EU"})

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
        self._client = AsyncFlagentClient(
            settings.root,
            settings.api_key,
            timeout=settings.timeout,
            tls=settings.tls,
            proxy=settings.proxy,
            http_client=settings.http_client,
        )
        self._asking = Asking(config, clock)

    async def evaluate(
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
        await load_aside(QUESTIONS)
        from .questions import Question, question

        asked = question(flag_key, entity_id, entity_context, entity_type=entity_type, debug=debug)
        if not isinstance(asked, Question):
            self._asking.check_open()
            return asked
        answer = self._asking.cached(asked)
        return (await self._answered([asked]))[asked.key] if answer is None else answer

    async def is_enabled(self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None) -> bool:
        """Return whether the flag has a variant for the entity; False when there is no such flag.

        Raises:
            FlagentError: see `evaluate`.
        """
        return (await self.evaluate(flag_key, entity_id, entity_context)).variant_key is not None

    async def get_variant(
        self, flag_key: str, entity_id: str, entity_context: Mapping[str, Any] | None = None
    ) -> str | None:
        """Return the key of the entity's variant of the flag, or None.

        Raises:
            FlagentError: see `evaluate`.
        """
        return (await self.evaluate(flag_key, entity_id, entity_context)).variant_key

    async def evaluate_batch(self, requests: Iterable[EvalRequest]) -> list[EvalResult]:
        """Return the results of many evaluations, in order; what is not in the cache is asked for in one request.

        Very many of them are more requests: each is for at most 10,000 results, and its answers are kept
        as it succeeds.

        Raises:
            FlagentError: see `evaluate`; there is no answer to at least one of them.
        """
        await load_aside(QUESTIONS)
        from .questions import Question, questions_of

        asked = questions_of(requests)
        found = await self._answered([each for each in asked if isinstance(each, Question)])
        return [found[each.key] if isinstance(each, Question) else each for each in asked]

    def clear_cache(self) -> None:
        """Forget all answers, and do not keep those that are on their way."""
        self._asking.clear()

    @property
    def status(self) -> ManagerStatus:
        """What was answered from the cache, what was asked, and what failed."""
        return self._asking.status()

    async def close(self) -> None:
        """Close all connections, within 2 seconds; more than once does no harm. Nothing is answered after that.

        Evaluations that wait raise `Closed`.
        """
        # Loaded with the event loop, here and below.
        from asyncio import timeout

        self._asking.closed = True
        with suppress(TimeoutError):
            async with timeout(STOP_TIMEOUT):
                await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncManager of {self._client.settings.root}>"

    async def _answered(self, questions: list[Question]) -> dict[Hashable, EvalResult]:
        from asyncio import current_task

        steps: Steps = self._asking.answers(questions, current_task())
        try:
            step = next(steps)
            while True:
                try:
                    outcome = await self._outcome(step)
                except BaseException as exc:  # noqa: BLE001 - it is raised inside, where it belongs
                    step = steps.throw(exc)
                else:
                    step = steps.send(outcome)
        except StopIteration as end:
            answers: dict[Hashable, EvalResult] = end.value
            return answers
        finally:
            steps.close()

    async def _outcome(self, step: Step) -> Any:
        from asyncio import timeout, wrap_future

        if isinstance(step, Flight):
            # Cancelling this wait leaves the flight alone.
            async with timeout(self._client.settings.timeout + _MARGIN):
                return await wrap_future(step.outcome)
        return await self._client.send(step)
