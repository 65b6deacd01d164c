"""Which questions are answered from the cache, which are asked, and what happens when no answer comes. No I/O.

The one logic of the sync and the async manager: `Asking.answers` is a generator that yields what to
send or to wait for, and is sent the outcome. The same question asked at the same moment by others
is not sent again: whoever was first has a `Flight`, and the others wait for it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import Closed, DecodeError, FlagentError, HTTPStatusError, Refused, TransportError
from .forks import after_in_child
from .logger import logger
from .manager_config import ManagerConfig
from .result_cache import ResultCache

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..core.results import EvalResult
    from .call import Call
    from .questions import Batch, Question
    from .status import ManagerStatus

#: Statuses of a server that works again later, beside all from 500 on.
_LATER = frozenset({408, 425, 429})
#: Most seconds that a server which asks for it is left alone.
_LONGEST_REST = 60.0


class Flight:
    """A question that is being asked.

    Attributes:
        question: the question.
        asker: who asks it: a thread or a task.
        outcome: the answer, the error, or None when it was given up, and somebody else has to ask.
    """

    def __init__(self, question: Question, asker: object) -> None:
        # Loaded with what asks.
        from concurrent.futures import Future

        self.question = question
        self.asker = asker
        self.outcome: Future[EvalResult | FlagentError | None] = Future()
        # From here on nobody who waits for it can cancel it.
        self.outcome.set_running_or_notify_cancel()


#: What is to be done: a request to send, or a flight of somebody else to wait for.
Step: TypeAlias = "Call[list[EvalResult]] | Flight"
#: Yields what is to be done, is sent the outcome, and returns the answers.
Steps: TypeAlias = "Generator[Step, Any, dict[Hashable, EvalResult]]"


class Asking:
    """Answers questions, from any number of threads or tasks.

    Args:
        config: how long answers are kept.
        clock: returns seconds that only grow.

    Attributes:
        closed: whether nothing is to be answered any more.
    """

    def __init__(self, config: ManagerConfig, clock: Callable[[], float]) -> None:
        self.closed = False
        self._config = config
        self._clock = clock
        self._cache: ResultCache[EvalResult] = ResultCache(
            ttl=config.cache_ttl, stale_for=config.stale_if_error, max_entries=config.max_cached, clock=clock
        )
        self._misses = self._requests = self._errors = self._stale = 0
        self._last_error: FlagentError | None = None
        # Whether the last request failed in a way that passes; then the server is left alone until that moment.
        self._failing = False
        self._rests_until = clock()
        self._begin_anew()
        _all.add(self)

    def _begin_anew(self) -> None:
        # Guards flights, generation and counts; never held while waiting. Reentrant, because a signal
        # handler may evaluate.
        self._lock = threading.RLock()
        self._flights: dict[Hashable, Flight] = {}
        # Counts how often the cache was cleared: what was asked before is not kept after.
        self._generation = 0

    def after_fork(self) -> None:
        """Forget what the parent is asking; called in a forked child, where no other thread is."""
        self._begin_anew()
        self._cache.after_fork()

    def cached(self, question: Question) -> EvalResult | None:
        """Return the fresh answer to a question, or None.

        Raises:
            Closed: nothing is answered any more.
        """
        self.check_open()
        return self._cache.fresh(question.key)

    def answers(self, questions: Sequence[Question], asker: object) -> Steps:
        """Return the answers, by key of question; yield what has to be done for them.

        Args:
            questions: what to answer.
            asker: the thread or task that is asking.

        Raises:
            FlagentError: there is an answer to some of them neither from the server nor in the cache.
        """
        # Loaded by whoever has a question.
        from .questions import batches

        self.check_open()
        found: dict[Hashable, EvalResult] = {}
        wanted = {each.key: each for each in questions}
        first = True
        while wanted:
            own, others = self._take_off(wanted.values(), asker, found, counts=first)
            first = False
            try:
                for batch in batches([flight.question for flight in own.values()]):
                    yield from self._ask(batch, own, found)
            finally:
                # Those that are settled by now are not touched.
                self._land(own, {})
            for flight in others:
                yield from self._wait_for(flight, found)
            wanted = {key: each for key, each in wanted.items() if key not in found}
        return found

    def clear(self) -> None:
        """Forget all answers, and those that are on their way."""
        with self._lock:
            self._generation += 1
            self._flights.clear()
            self._cache.clear()

    def check_open(self) -> None:
        """Raise `Closed` when nothing is to be answered any more."""
        if self.closed:
            raise Closed("the manager is closed")

    def status(self) -> ManagerStatus:
        """Return the counts."""
        # A manager is made without it.
        from .status import ManagerStatus

        with self._lock:
            return ManagerStatus(
                hits=self._cache.hits,
                misses=self._misses,
                requests=self._requests,
                errors=self._errors,
                stale=self._stale,
                cached=len(self._cache),
                last_error=self._last_error,
            )

    def _take_off(
        self, questions: Iterable[Question], asker: object, found: dict[Hashable, EvalResult], *, counts: bool
    ) -> tuple[dict[Hashable, Flight], list[Flight]]:
        """Return which questions the caller has to ask, and which others are asking; add the rest to `found`."""
        own, others = {}, []
        with self._lock:
            now = self._clock()
            rests = now < self._rests_until
            for each in questions:
                key = each.key
                # In this order: a flight is taken out only after its answer was kept.
                flight = self._flights.get(key)
                answer = self._cache.fresh(key) if flight is None else None
                if answer is not None:
                    found[key] = answer
                    continue
                self._misses += counts
                # While requests fail, nobody who has an older answer waits for another's.
                old = self._cache.kept(key) if rests or (self._failing and flight is not None) else None
                if old is not None:
                    self._stale += 1
                    found[key] = old
                elif flight is not None and flight.asker != asker:
                    others.append(flight)
                else:
                    # A flight of the same thread is below a signal handler, and does not land before it returns.
                    own[key] = self._flights[key] = Flight(each, asker)
            if own and self._failing:
                # One asker finds out whether the server is back.
                self._rests_until = max(self._rests_until, now + self._config.retry_delay)
        return own, others

    def _ask(
        self, batch: Batch, own: dict[Hashable, Flight], found: dict[Hashable, EvalResult]
    ) -> Generator[Step, Any, None]:
        generation, asked_at = self._generation, self._clock()
        keys = [each.key for each in batch.questions]
        with self._lock:
            self._requests += 1
        try:
            results: list[EvalResult] = yield batch.call
        except FlagentError as exc:
            error = Closed("the manager was closed meanwhile") if self.closed else exc
            self._failed(error)
            self._land(own, dict.fromkeys(keys, error))
            for key in keys:
                found[key] = self._instead(key, error)
            return
        answers = dict(zip(keys, results, strict=True))
        with self._lock:
            self._succeeded()
            for each, result in zip(batch.questions, results, strict=True):
                if each.keeps(result) and generation == self._generation:
                    self._cache.put(each.key, result, asked_at)
        self._land(own, answers)
        found.update(answers)

    def _wait_for(self, flight: Flight, found: dict[Hashable, EvalResult]) -> Generator[Step, Any, None]:
        key = flight.question.key
        try:
            outcome: EvalResult | FlagentError | None = yield flight
        except TimeoutError:
            outcome = TransportError("no result within the timeout, of a request that others made", kind="timeout")
        if isinstance(outcome, FlagentError):
            found[key] = self._instead(key, outcome)
        elif outcome is not None:
            found[key] = outcome

    def _land(self, own: dict[Hashable, Flight], outcomes: Mapping[Hashable, EvalResult | FlagentError]) -> None:
        """Settle those flights that have an outcome; without any outcomes, give up all that are left."""
        landed = [own.pop(key) for key in list(outcomes or own) if key in own]
        with self._lock:
            for flight in landed:
                if self._flights.get(flight.question.key) is flight:
                    del self._flights[flight.question.key]
        # Not under the lock: this wakes others up.
        for flight in landed:
            flight.outcome.set_result(outcomes.get(flight.question.key))

    def _instead(self, key: Hashable, error: FlagentError) -> EvalResult:
        """Return an older answer, if the error is one of those that pass, or raise the error."""
        old = self._cache.kept(key) if _passes(error) else None
        if old is None:
            raise error
        with self._lock:
            self._stale += 1
        return old

    def _failed(self, error: FlagentError) -> None:
        with self._lock:
            self._errors += 1
            first, self._last_error = self._last_error is None, error
            self._failing = _passes(error)
            if self._failing:
                asked = getattr(error, "retry_after", None) or 0.0
                delay = max(self._config.retry_delay, min(asked, _LONGEST_REST))
                self._rests_until = self._clock() + delay
        if first and not self.closed:
            logger().warning("the server does not evaluate, older answers are given if there are any: %s", error)

    def _succeeded(self) -> None:
        if self._last_error is not None:
            logger().info("the server evaluates again")
        self._last_error, self._failing, self._rests_until = None, False, self._clock()


def _passes(error: FlagentError) -> bool:
    """Tell whether an error is the network's or the server's, and not one of the question, key or address."""
    if isinstance(error, HTTPStatusError):
        return not isinstance(error, Refused) and (error.status >= 500 or error.status in _LATER)
    # What is no answer of a server may come from something before it, such as the page of a proxy.
    return isinstance(error, (TransportError, DecodeError))


#: Which objects a fork concerns: nothing else can tell the hook.
_all: weakref.WeakSet[Asking] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for each in list(_all):
        each.after_fork()


after_in_child(_after_fork_in_child)
