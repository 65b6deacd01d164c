"""The SDK against a Flagent server as it really is: it starts, evaluates, and ends up with what the server has."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_flagent import PlainFlagent, StartPlain
from sdk_parts import ManagerOf, keys_of
from waiting import until

import flagent
from flagent import (
    AsyncOfflineManager,
    FlagentClient,
    HTTPStatusError,
    OfflineConfig,
    OfflineManager,
    Reason,
    SSEClient,
    State,
)
from flagent.client import plain

_EXPORT = "/export/eval_cache/json"
#: Its cache is late by this much here; the SDK's patience with it is as much longer as in production.
_CACHE_AGE, _PATIENCE = 0.15, 0.25


@pytest.fixture(autouse=True)
def scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagent.client.plain.CACHE_AGE", _PATIENCE)


@pytest.fixture
def start() -> Iterator[StartPlain]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(PlainFlagent(cache_age=_CACHE_AGE, **options))


@pytest.fixture
def server(start: StartPlain) -> PlainFlagent:
    """A server whose one flag, `new_feature`, is in its cache."""
    server = start()
    server.create("new_feature")
    server._fill()
    return server


def live(manager: OfflineManager) -> OfflineManager:
    manager.bootstrap()
    manager.enable_realtime_updates()
    return manager


def held(manager: OfflineManager) -> dict[str, Any]:
    """Return what a manager holds, as far as it decides evaluations."""
    ruleset = manager._replica.ruleset
    assert ruleset is not None
    return {
        flag.key: (
            flag.id,
            [(segment.rollout_percent, [each.value for each in segment.constraints]) for segment in flag.segments],
            [variant.key for variant in flag.variants],
            sorted(tag.value for tag in flag.tags),
        )
        for flag in ruleset.snapshot.flags.values()
    }


def wanted(server: PlainFlagent) -> dict[str, Any]:
    """Return the same of the server."""
    return {
        key: (
            flag["id"],
            [(each["rolloutPercent"], [item["value"] for item in each["constraints"]]) for each in flag["segments"]],
            [variant["key"] for variant in flag["variants"]],
            sorted(tag["value"] for tag in flag["tags"]),
        )
        for key, flag in server.enabled().items()
    }


def test_it_starts_and_evaluates(server: PlainFlagent, manager_of: ManagerOf) -> None:
    manager = manager_of(server.url)

    manager.bootstrap()

    result = manager.evaluate("new_feature", "user123")
    assert (result.reason, result.variant_key) == (Reason.MATCH, "on")
    assert result.get_attachment_value("color") == "blue"
    assert manager.status.cursor is None


def test_stream_is_found_where_it_really_is(server: PlainFlagent, manager_of: ManagerOf) -> None:
    manager = live(manager_of(server.url))

    assert manager.is_realtime_enabled()
    assert server.count("/api/v1/realtime/sse") == server.count("GET /realtime/sse") == 1


@pytest.mark.parametrize(
    "edit",
    [
        lambda server, flag_id: server.create("another"),
        lambda server, flag_id: server.rename(flag_id, "renamed"),
        lambda server, flag_id: server.toggle(flag_id, False),
        lambda server, flag_id: server.delete(flag_id),
        lambda server, flag_id: server.roll_out(flag_id, 40),
    ],
    ids=["create", "rename", "toggle", "delete", "rollout"],
)
def test_edit_with_an_event_arrives_although_the_cache_is_late(
    server: PlainFlagent, manager_of: ManagerOf, edit: Callable[[PlainFlagent, int], object]
) -> None:
    # No poll by itself can be what finds it.
    manager = live(manager_of(server.url, auto_refresh=False, safety_poll_interval=0))

    edit(server, 1)

    until(lambda: held(manager) == wanted(server))
    assert manager.status.divergences == 0


@pytest.mark.parametrize(
    "edit",
    [
        lambda server, flag_id: server.constrain(flag_id, "country", "DE"),
        lambda server, flag_id: server.tag(flag_id, "shop"),
        lambda server, flag_id: (server.delete(flag_id), server.restore(flag_id), server.tag(flag_id, "back")),
    ],
    ids=["constraint", "tag", "restore"],
)
def test_edit_without_an_event_is_found_by_the_safety_poll(
    server: PlainFlagent, manager_of: ManagerOf, edit: Callable[[PlainFlagent, int], object]
) -> None:
    manager = live(manager_of(server.url, safety_poll_interval=0.3))

    edit(server, 1)

    until(lambda: held(manager) == wanted(server))


def test_many_events_at_once_are_few_downloads(server: PlainFlagent, manager_of: ManagerOf) -> None:
    manager = live(manager_of(server.url, auto_refresh=False, safety_poll_interval=0))
    before = server.count(_EXPORT)

    for number in range(50):
        server.create(f"flag{number}")

    until(lambda: held(manager) == wanted(server))
    # One in flight and one pending for all of them, and one more when the cache has caught up; chance may split them.
    assert server.count(_EXPORT) - before <= 10


def test_server_that_restarts_is_not_believed_that_there_are_no_flags(
    server: PlainFlagent, manager_of: ManagerOf
) -> None:
    manager = live(manager_of(server.url, auto_refresh=False, safety_poll_interval=0))
    lost: list[str] = []
    manager.on_change(lambda change: lost.append(change.flag_key))

    server.restart()
    until(lambda: server.count("GET /realtime/sse") == 2)
    until(manager.is_realtime_enabled)

    assert keys_of(manager) == {"new_feature"}
    assert lost == []


def test_flags_that_really_are_all_gone_go(server: PlainFlagent, manager_of: ManagerOf) -> None:
    manager = live(manager_of(server.url, auto_refresh=False, safety_poll_interval=0))

    server.delete(1)

    until(lambda: keys_of(manager) == set())


def test_server_that_has_only_just_started_is_asked_again(start: StartPlain, manager_of: ManagerOf) -> None:
    server = start(starts_empty=True)
    server.create("new_feature")
    manager = manager_of(server.url)

    manager.bootstrap()

    until(lambda: keys_of(manager) == {"new_feature"})


def test_status_says_what_can_be_known(server: PlainFlagent, manager_of: ManagerOf) -> None:
    manager = live(manager_of(server.url, safety_poll_interval=10, request_timeout=1))

    status = manager.status

    assert status.state is State.LIVE
    # Its export was late already when it came, and its stream proves nothing.
    assert status.staleness is not None and status.staleness >= _PATIENCE
    assert status.staleness_bound == pytest.approx(10 * 1.2 + 1 + plain.CACHE_AGE)


def test_stream_without_events_does_not_make_flags_fresh(server: PlainFlagent, manager_of: ManagerOf) -> None:
    manager = live(manager_of(server.url, auto_refresh=False, safety_poll_interval=0))
    until(lambda: server.count(_EXPORT) == 2)
    before = manager.snapshot_age or 0.0

    until(lambda: (manager.snapshot_age or 0.0) > before + 0.2)

    assert manager.status.staleness_bound is None


def test_events_of_other_flags_are_filtered_by_the_server(server: PlainFlagent, manager_of: ManagerOf) -> None:
    manager = manager_of(server.url, auto_refresh=False, safety_poll_interval=0)
    manager.bootstrap()
    manager.enable_realtime_updates(flag_keys=["new_feature"])
    before = server.count(_EXPORT)

    server.create("another")
    server.rename(1, "new_feature")

    until(lambda: server.count(_EXPORT) > before)
    until(lambda: held(manager) == wanted(server))


def test_flags_are_there_without_the_server(server: PlainFlagent, tmp_path: Path) -> None:
    config = OfflineConfig(storage_dir=tmp_path / "kept")
    with OfflineManager(server.url, config):
        pass
    server.broken = True

    with OfflineManager(server.url, config) as manager:
        assert manager.is_enabled("new_feature", "u")
        server.broken = False
        manager.refresh()
        assert manager.status.source == "poll"


def test_asyncio_has_the_same(server: PlainFlagent) -> None:
    async def run() -> None:
        async with AsyncOfflineManager(server.url, OfflineConfig(reconnect_delay=0.02)) as manager:
            await manager.enable_realtime_updates()
            server.toggle(1, False)
            async with asyncio.timeout(8):
                while keys_of(manager):  # noqa: ASYNC110 - the condition is the server's doing
                    await asyncio.sleep(0.01)

    asyncio.run(run())


def test_stream_client_gets_the_events(server: PlainFlagent) -> None:
    with SSEClient(server.url) as stream:
        stream.connect()
        server.create("another")

        event = next(stream.events())

    assert (event.type, event.flag_key, event.message) == ("flag.created", "another", "Flag created: another")
    assert event.revision is None


def test_rest_client_reads_what_it_says(server: PlainFlagent) -> None:
    with FlagentClient(server.url) as client:
        (flag,) = client.list_flags()
        result = client.evaluate("new_feature", "user123", {"country": "DE"})
        missing = client.evaluate("missing", "user123")

    assert (flag.key, flag.segments[0].distributions[0].variant_key) == ("new_feature", "on")
    assert (result.variant_key, result.reason) == ("on", Reason.MATCH)
    assert (missing.variant_key, missing.flag_id) == (None, 0)


def test_its_errors_are_exceptions_that_say_what_it_said(server: PlainFlagent) -> None:
    with FlagentClient(server.url) as client:
        with pytest.raises(flagent.NotFound, match="Not found"):
            client.get_flag(99)
        with pytest.raises(HTTPStatusError) as failure:
            client.evaluate("new_feature", "user123", {"age": 7})

    assert failure.value.status == 500
    assert "Internal server error" in str(failure.value)


_EDITS = st.lists(
    st.tuples(
        st.sampled_from(["create", "rename", "toggle", "delete", "restore", "constrain", "roll", "end"]),
        st.integers(0, 9),
    ),
    max_size=12,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=_EDITS)
def test_whatever_an_admin_does_it_ends_with_what_the_server_has(scaled: None, edits: list[tuple[str, int]]) -> None:
    with PlainFlagent(cache_age=0.03) as server:
        first = server.create("flag0")
        ids = {"alive": [first], "dead": []}
        config = OfflineConfig(
            reconnect_delay=0.01, max_reconnect_delay=0.05, safety_poll_interval=0.2, enable_persistence=False
        )
        with OfflineManager(server.url, config) as manager:
            manager.enable_realtime_updates()
            for edit, number in edits:
                _edit(server, ids, edit, number)

            until(lambda: held(manager) == wanted(server))


def _edit(server: PlainFlagent, ids: dict[str, list[int]], edit: str, number: int) -> None:
    alive, dead = ids["alive"], ids["dead"]
    one = alive[number % len(alive)] if alive else 0
    if edit == "create":
        alive.append(server.create(f"flag{server._next}"))
    elif edit == "restore" and dead:
        alive.append(dead.pop())
        server.restore(alive[-1])
    elif edit == "end":
        server.end_streams()
    elif not alive or edit == "restore":
        return
    elif edit == "rename":
        server.rename(one, f"renamed{random.Random(number).randrange(10**6)}.{one}")
    elif edit == "toggle":
        server.toggle(one, number % 2 == 0)
    elif edit == "delete":
        alive.remove(one)
        dead.append(one)
        server.delete(one)
    elif edit == "constrain":
        server.constrain(one, "country", str(number))
    else:
        server.roll_out(one, number * 10)
