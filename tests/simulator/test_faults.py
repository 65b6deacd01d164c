"""Faults that take hours or thousands of turns, in virtual time: each as a story of its own, with all invariants."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

import pytest

from flagent.client.callbacks import FlagChange
from flagent.core.changes import Snapshot
from flagent.core.edits import Edit, FlagPatch, update_flag
from flagent.core.ids import Allocator
from flagent.wire import backoff
from simulator import schedule as schedules
from simulator.client import Client
from simulator.decisions import some_edit
from simulator.line import Canned
from simulator.run import simulate
from simulator.world import World

HOUR, DAY = 3600.0, 86400.0
#: How often clients are closed while they connect.
INTERLEAVINGS = 10_000


def edit(world: World, number: int) -> None:
    """Let somebody commit an edit of some flag."""
    world.database.edit(some_edit(random.Random(number)), round(world.loop.time() * 1000))


def most_within(moments: list[float], seconds: float) -> int:
    """Return how many of the moments at most lie within so many seconds."""
    return max((sum(at <= each < at + seconds for each in moments) for at in moments), default=0)


@pytest.mark.covers("F10", "I1", "I9")
def test_clients_whose_connections_are_cut_for_ten_minutes_are_current_forty_seconds_later() -> None:
    async def live(world: World) -> None:
        for second in range(600):
            edit(world, second)
            for client in world.clients:
                if world.chance.random() < 0.3:
                    client.line.cut()
            await world.pause(1.0)
        for client in world.clients:
            assert most_within(client.line.asked_at, 60.0) <= 45
        await world.pause(40.0)
        world.expect_convergence("40 s after the last connection was cut")

    simulate(1, live, clients=4, max_age=0.0)


@pytest.mark.covers("F11", "G5", "I1", "I4", "I5")
def test_an_hour_without_a_network_is_told_as_such_and_made_up_for_at_once() -> None:
    told: Counter[str] = Counter()

    async def live(world: World) -> None:
        (client,) = world.clients
        for number in range(20):
            edit(world, number)
        await world.pause(5.0)
        before = dict(world.database.snapshot.flags)
        client.manager.on_change(lambda change: told.update([change.flag_key]))
        client.line.down = True
        client.line.cut()
        for number in range(500):
            edit(world, number)
            await world.pause(HOUR / 500)
        status = client.manager.status
        assert status.staleness is not None
        assert HOUR - 20.0 <= status.staleness <= HOUR + 20.0
        assert not client.manager.is_realtime_enabled()
        client.line.mend()
        await world.pause(45.0)
        world.expect_convergence("45 s after the network is back")
        now = world.database.snapshot.flags
        differ = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
        assert told == Counter(differ)

    simulate(2, live, clients=1, max_age=0.0)


@contextmanager
def warnings_of(name: str, said: list[float], world: World) -> Iterator[None]:
    """Note when the logger of this name warns of something."""

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(world.loop.time())

    logger, handler = logging.getLogger(name), Noting(logging.WARNING)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


@pytest.mark.covers("F23", "G10", "I4")
def test_a_client_that_is_refused_for_a_day_asks_seldom_and_never_stops_asking() -> None:
    async def live(world: World) -> None:
        (client,) = world.clients
        said: list[float] = []
        edit(world, 1)
        await world.pause(10.0)
        with warnings_of("flagent.client", said, world):
            client.line.refuses = Canned(401)
            client.line.cut()
            began = world.loop.time()
            await world.pause(DAY)
        hours = [
            sum(began + hour * HOUR <= at < began + (hour + 1) * HOUR for at in client.line.used_at)
            for hour in range(1, 24)
        ]
        assert set(hours) <= {3, 4}
        gaps = [after - before for before, after in pairwise(at for at in client.line.used_at if at >= began + HOUR)]
        # The stream and the polling take turns: whoever is let in again notices within a quarter of an hour.
        assert max(gaps) <= backoff.SLOW_CAP + 5.0
        # The first of the stream and of the poll, and one in each hour afterwards.
        assert len(said) <= 2 + 24
        assert client.manager.status.state == "rejected"
        client.line.refuses = None
        let_in_at = world.loop.time()
        await world.pause(backoff.SLOW_CAP + 10.0)
        world.expect_convergence("a quarter of an hour after the client is let in again")
        assert client.manager.status.state == "live"
        assert client.manager.status.last_error is None
        # Whichever was let in first called the other one.
        assert sum(at >= let_in_at for at in client.line.used_at) >= 2

    simulate(3, live, clients=1, max_age=0.0)


def renames(batch: int, snapshot: Snapshot, _ids: Allocator) -> list[Edit]:
    """Return a hundred renames, or a few more."""
    flags = list(snapshot.flags.values())
    turns = range(100 // len(flags) + 1)
    return [update_flag(flag, FlagPatch(key=f"flag{flag.id}.{batch}.{turn}")) for turn in turns for flag in flags]


@pytest.mark.covers("F51", "I1", "I7")
def test_ten_thousand_renames_in_a_second_are_few_notifications_and_one_state() -> None:
    told: list[FlagChange] = []

    async def live(world: World) -> None:
        for number in range(12):
            edit(world, number)
        await world.pause(5.0)
        for client in world.clients:
            client.manager.on_change(told.append)
        for batch in range(100):
            world.database.edit(partial(renames, batch), batch)
            await world.pause(0.01)
        assert world.database.snapshot.revision > 10_000
        await world.pause(5.0)
        world.expect_convergence("5 s after ten thousand changes")

    simulate(4, live, clients=2, max_age=0.0)

    assert 0 < len(told) < 10_000


@pytest.mark.covers("F57", "G2", "I2")
def test_clients_that_move_between_servers_of_which_one_is_late_are_never_taken_back() -> None:
    async def live(world: World) -> None:
        world.nodes[1].disturb(lag=10.0)
        world.lagged = True
        for turn in range(200):
            edit(world, turn)
            for client in world.clients:
                if world.chance.random() < 0.3:
                    client.line.server = 1 - client.line.server
                    client.line.cut()
            await world.pause(1.0)
        world.nodes[1].disturb(lag=0.0)
        await world.pause(45.0)
        world.expect_convergence("45 s after the server is late no more")

    counts = simulate(5, live, clients=4, max_age=0.0).counts

    assert counts["server was behind a client"] > 5


class Racing:
    """A client that is closed at some moment of its life, again and again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = random.Random(79)

    async def close_somewhere(self, client: Client) -> None:
        """Begin a life and end it; `World.asked` hears of connections that are asked for later."""
        if not client.is_open:
            client.begin()
        for _ in range(self._chance.choice((1, 1, 2))):
            await asyncio.sleep(self._chance.choice((0.0, 0.005, 0.02, 0.04, 0.2, 1.0)) * self._chance.random())
            client.line.cut()
        await asyncio.sleep(self._chance.choice((0.0, 0.01, 0.5)) * self._chance.random())
        await client.close()


@pytest.mark.covers("F79", "G9", "I8")
@pytest.mark.parametrize("seed", range(8))
def test_no_connection_is_opened_after_close_however_it_meets_a_reconnection(seed: int) -> None:
    async def live(world: World) -> None:
        racing = Racing(world)
        for _ in range(INTERLEAVINGS // 8 // len(world.clients)):
            await asyncio.gather(*map(racing.close_somewhere, world.clients))
        await world.pause(60.0)

    simulate(seed, live, clients=5, max_age=0.0)


@pytest.mark.covers("F87", "F86")
def test_a_clock_of_the_day_that_is_slewed_for_a_day_moves_no_heartbeat() -> None:
    async def live(world: World) -> None:
        await world.pause(60.0)
        streams = [len(client.line.asked_at) for client in world.clients]
        for _ in range(int(DAY / 600.0)):
            world.loop.wall += 600.0 * 500e-6
            edit(world, int(world.loop.time()))
            await asyncio.sleep(600.0)
            world.check()
        assert [len(client.line.asked_at) for client in world.clients] == streams

    simulate(6, live, clients=2, max_age=0.0)


@pytest.mark.covers("F89", "G1", "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10")
def test_many_clients_go_through_a_long_mix_of_faults() -> None:
    async def live(world: World) -> None:
        for step in schedules.schedule(89, length=250):
            await schedules.take(world, step)
            await world.pause(min(step.pause, 2.0))
        await world.settle()

    simulate(89, live, clients=16)


@pytest.mark.covers("F92", "I9")
def test_polling_covers_the_gaps_of_a_stream_that_comes_and_goes() -> None:
    states: list[str] = []
    periods = 10

    async def live(world: World) -> None:
        (client,) = world.clients
        await world.pause(5.0)
        for period in range(periods):
            edit(world, period)
            client.line.holds = False
            await self_paced(world, client, 20.0)
            client.line.holds = True
            client.line.cut()
            await self_paced(world, client, 40.0)

    async def self_paced(world: World, client: Client, seconds: float) -> None:
        for _ in range(int(seconds)):
            await world.pause(1.0)
            status = client.manager.status
            assert status.staleness is not None
            assert status.staleness <= 75.0
            if not states or states[-1] != status.state:
                states.append(status.state)

    simulate(7, live, clients=1, max_age=0.0)

    assert len(states) <= 2 * periods + 1
    assert set(states) <= {"live", "polling"}


@pytest.mark.covers("F78", "G9", "I8")
def test_a_client_that_is_closed_asks_for_nothing_more() -> None:
    async def live(world: World) -> None:
        (client,) = world.clients
        # Longer than between two polls without a stream.
        await world.pause(100.0)
        asked = len(client.line.used_at)

        await client.close()
        await world.pause(5.0)

        assert len(client.line.used_at) == asked

    simulate(8, live, clients=1, max_age=0.0)
