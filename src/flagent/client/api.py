"""The clients of the REST API: the calls of the modules `…_calls`, as methods that block or are awaited."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from ..errors import Closed, Conflict, HTTPStatusError, InvalidFlag, NotFound, Refused
from ..wire.backoff import SLOW_STATUSES
from . import evaluation_calls, flag_calls, part_calls
from .answers import failure, message_of
from .api_keys import ApiKey
from .call import Call
from .config import ClientSettings, HTTPClientFactory
from .loop_thread import LoopThread
from .tls import TLS
from .transport import Answer, Transport

_P = ParamSpec("_P")
_T = TypeVar("_T")

_MAX_BYTES = 256 << 20


def _blocking(make: Callable[_P, Call[_T]]) -> Callable[Concatenate[FlagentClient, _P], _T]:
    def method(self: FlagentClient, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return self.send(make(*args, **kwargs))

    update_wrapper(method, make)
    return method


def _awaited(make: Callable[_P, Call[_T]]) -> Callable[Concatenate[AsyncFlagentClient, _P], Coroutine[Any, Any, _T]]:
    async def method(self: AsyncFlagentClient, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self.send(make(*args, **kwargs))

    update_wrapper(method, make)
    return method


class FlagentClient:
    """Calls the REST API of a server. Making one does no I/O; the first call does.

    All calls may be made from any thread. They raise `TransportError` when no answer came,
    `Refused` for a wrong key or address, `NotFound` for what is not there, `InvalidFlag` for an edit
    that breaks a rule, `Conflict` when somebody else was first, `HTTPStatusError` for any other
    refusal, `DecodeError` for an answer that makes no sense, and `Closed` after `close`.

    Args:
        base_url: URL of the server, with or without `/api/v1`.
        api_key: sent as `Authorization: Bearer <key>`; a path is the file that has it, a function returns it, and
            both are asked again when the server refuses the key.
        timeout: how many seconds one call may take.
        tls: certificates to trust and to show; None trusts those of the system.
        proxy: URL of the proxy; None for what the environment says (`HTTPS_PROXY`, `NO_PROXY`, …).
        http_client: makes the HTTP client, for what these can't say:
            `lambda: httpx2.AsyncClient(verify=context)`.

    Attributes:
        settings: the arguments, checked.

    Raises:
        ConfigurationError: an argument can't be used.
    """

    def __init__(
        self,
        base_url: str,
        api_key: ApiKey | None = None,
        *,
        timeout: float = 10.0,
        tls: TLS | None = None,
        proxy: str | None = None,
        http_client: HTTPClientFactory | None = None,
    ) -> None:
        self.settings = ClientSettings(
            root=base_url, api_key=api_key, timeout=timeout, tls=tls, proxy=proxy, http_client=http_client
        )
        self._transport = Transport(self.settings)
        self._thread = LoopThread(f"flagent client of {self.settings.root}", self._begin_anew)

    health = _blocking(evaluation_calls.health)
    snapshot = _blocking(evaluation_calls.snapshot)
    evaluate = _blocking(evaluation_calls.evaluate)
    evaluate_batch = _blocking(evaluation_calls.evaluate_batch)
    list_flags = _blocking(flag_calls.list_flags)
    get_flag = _blocking(flag_calls.get_flag)
    create_flag = _blocking(flag_calls.create_flag)
    update_flag = _blocking(flag_calls.update_flag)
    set_flag_enabled = _blocking(flag_calls.set_flag_enabled)
    delete_flag = _blocking(flag_calls.delete_flag)
    restore_flag = _blocking(flag_calls.restore_flag)
    list_segments = _blocking(part_calls.list_segments)
    create_segment = _blocking(part_calls.create_segment)
    update_segment = _blocking(part_calls.update_segment)
    delete_segment = _blocking(part_calls.delete_segment)
    reorder_segments = _blocking(part_calls.reorder_segments)
    create_constraint = _blocking(part_calls.create_constraint)
    update_constraint = _blocking(part_calls.update_constraint)
    delete_constraint = _blocking(part_calls.delete_constraint)
    put_distributions = _blocking(part_calls.put_distributions)
    create_variant = _blocking(part_calls.create_variant)
    update_variant = _blocking(part_calls.update_variant)
    delete_variant = _blocking(part_calls.delete_variant)
    list_tags = _blocking(flag_calls.list_tags)
    attach_tag = _blocking(flag_calls.attach_tag)
    detach_tag = _blocking(flag_calls.detach_tag)

    def send(self, call: Call[_T]) -> _T:
        """Make a call that one of the modules `…_calls` describes, and return its result."""
        return self._thread.call(_made(self._transport, call), self.settings.timeout)

    def close(self) -> None:
        """Close all connections, within 2 seconds; more than once does no harm."""
        self._thread.stop(self._transport.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<FlagentClient of {self.settings.root}>"

    def __del__(self) -> None:
        thread: LoopThread | None = getattr(self, "_thread", None)
        if thread is None or not thread.runs or sys.is_finalizing():
            return
        warnings.warn(f"{self!r} was forgotten without close()", ResourceWarning, stacklevel=2, source=self)
        thread.stop(self._transport.aclose, 0.0)

    def _begin_anew(self) -> None:
        self._transport = Transport(self.settings)


class AsyncFlagentClient:
    """Calls the REST API of a server, like `FlagentClient`; every call is awaited, on one event loop.

    Args:
        base_url: URL of the server, with or without `/api/v1`.
        api_key: sent as `Authorization: Bearer <key>`; a path is the file that has it, a function returns it, and
            both are asked again when the server refuses the key.
        timeout: how many seconds one call may take.
        tls: certificates to trust and to show; None trusts those of the system.
        proxy: URL of the proxy; None for what the environment says (`HTTPS_PROXY`, `NO_PROXY`, …).
        http_client: makes the HTTP client, for what these can't say.

    Attributes:
        settings: the arguments, checked.

    Raises:
        ConfigurationError: an argument can't be used.
    """

    def __init__(
        self,
        base_url: str,
        api_key: ApiKey | None = None,
        *,
        timeout: float = 10.0,
        tls: TLS | None = None,
        proxy: str | None = None,
        http_client: HTTPClientFactory | None = None,
    ) -> None:
        self.settings = ClientSettings(
            root=base_url, api_key=api_key, timeout=timeout, tls=tls, proxy=proxy, http_client=http_client
        )
        self._transport = Transport(self.settings)
        self._closed = False

    health = _awaited(evaluation_calls.health)
    snapshot = _awaited(evaluation_calls.snapshot)
    evaluate = _awaited(evaluation_calls.evaluate)
    evaluate_batch = _awaited(evaluation_calls.evaluate_batch)
    list_flags = _awaited(flag_calls.list_flags)
    get_flag = _awaited(flag_calls.get_flag)
    create_flag = _awaited(flag_calls.create_flag)
    update_flag = _awaited(flag_calls.update_flag)
    set_flag_enabled = _awaited(flag_calls.set_flag_enabled)
    delete_flag = _awaited(flag_calls.delete_flag)
    restore_flag = _awaited(flag_calls.restore_flag)
    list_segments = _awaited(part_calls.list_segments)
    create_segment = _awaited(part_calls.create_segment)
    update_segment = _awaited(part_calls.update_segment)
    delete_segment = _awaited(part_calls.delete_segment)
    reorder_segments = _awaited(part_calls.reorder_segments)
    create_constraint = _awaited(part_calls.create_constraint)
    update_constraint = _awaited(part_calls.update_constraint)
    delete_constraint = _awaited(part_calls.delete_constraint)
    put_distributions = _awaited(part_calls.put_distributions)
    create_variant = _awaited(part_calls.create_variant)
    update_variant = _awaited(part_calls.update_variant)
    delete_variant = _awaited(part_calls.delete_variant)
    list_tags = _awaited(flag_calls.list_tags)
    attach_tag = _awaited(flag_calls.attach_tag)
    detach_tag = _awaited(flag_calls.detach_tag)

    async def send(self, call: Call[_T]) -> _T:
        """Make a call that one of the modules `…_calls` describes, and return its result."""
        if self._closed:
            raise Closed("the client is closed")
        return await _made(self._transport, call)

    async def close(self) -> None:
        """Close all connections; more than once does no harm."""
        self._closed = True
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncFlagentClient of {self.settings.root}>"


async def _made(transport: Transport, call: Call[_T]) -> _T:
    answer = await transport.request(
        call.method, call.path, content=call.body, timeout=transport.settings.timeout, max_bytes=_MAX_BYTES
    )
    if answer.status != 200:
        raise _refusal(f"{call.method} {transport.settings.root}{call.path.partition('?')[0]}", call, answer)
    return call.decode(answer.body)


def _refusal(what: str, call: Call[Any], answer: Answer) -> Exception:
    said = message_of(answer.body)
    if answer.status == 404:
        return NotFound(said or f"{what}: HTTP 404")
    if answer.status == 412:
        return Conflict(said or f"{what}: HTTP 412")
    if answer.status == 400 and call.edits:
        return InvalidFlag(said or f"{what}: HTTP 400")
    return failure(what, answer, Refused if answer.status in SLOW_STATUSES else HTTPStatusError)
