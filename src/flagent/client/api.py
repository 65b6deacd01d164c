"""The clients of the REST API: the calls of the modules `…_calls`, as methods that block or are awaited."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from ..errors import Closed
from . import evaluation_calls, flag_calls, part_calls
from .api_keys import ApiKey
from .call import Call
from .config import ClientSettings, HTTPClientFactory
from .loading import CALLS, load, load_aside
from .loop_thread import LoopThread

if TYPE_CHECKING:
    from .caller import Caller
    from .tls import TLS

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _blocking(make: Callable[_P, Call[_T]]) -> Callable[Concatenate[FlagentClient, _P], _T]:
    def method(self: FlagentClient, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        # Before the call is made, which takes what is loaded here.
        load(CALLS)
        return self.send(make(*args, **kwargs))

    update_wrapper(method, make)
    return method


def _awaited(make: Callable[_P, Call[_T]]) -> Callable[Concatenate[AsyncFlagentClient, _P], Coroutine[Any, Any, _T]]:
    async def method(self: AsyncFlagentClient, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        await load_aside(CALLS)
        return await self.send(make(*args, **kwargs))

    update_wrapper(method, make)
    return method


class _Calls:
    """Makes calls on one event loop; what that takes is loaded with the first."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._caller: Caller | None = None
        self._closed = False

    async def send(self, call: Call[_T]) -> _T:
        if self._caller is None:
            await load_aside(CALLS)
        if self._closed:
            raise Closed("the client is closed")
        if self._caller is None:
            # With all of HTTP, which a client that is merely made does without.
            from .caller import Caller

            self._caller = Caller(self._settings)
        return await self._caller.result(call)

    async def aclose(self) -> None:
        self._closed = True
        if self._caller is not None:
            await self._caller.aclose()


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
        self._calls = _Calls(self.settings)
        self._thread = LoopThread(f"flagent client of {self.settings.root}", self._begin_anew, CALLS)

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
        return self._thread.call(self._calls.send(call), self.settings.timeout)

    def close(self) -> None:
        """Close all connections, within 2 seconds; more than once does no harm."""
        self._thread.stop(self._calls.aclose)

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
        thread.stop(self._calls.aclose, 0.0)

    def _begin_anew(self) -> None:
        self._calls = _Calls(self.settings)


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
        self._calls = _Calls(self.settings)

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
        return await self._calls.send(call)

    async def close(self) -> None:
        """Close all connections; more than once does no harm."""
        await self._calls.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncFlagentClient of {self.settings.root}>"
