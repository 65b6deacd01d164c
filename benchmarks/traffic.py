"""What the stream costs beside polling, for `resume.py`: bytes and the server's CPU time, per client and hour."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2
from api import check
from processes import LIMIT, Editor, ServerProcess
from stream_clients import SNAPSHOT, StreamClient, connected, download, examine, spread, until

_POLLS = 60
_HEARTBEAT = 15
#: Seconds over which CPU time is counted that is spent all the time.
_WHILE = 4.0
_LOAD_POLLS = 1000
#: A cursor of no log, for which only the snapshot helps.
_FOREIGN = "elsewhere:1"


async def measure_bytes(database: str, toggles: int) -> dict[str, Any]:
    """Return the bytes of everything that one client and the server say to each other."""
    with ServerProcess(database, heartbeat=1, nudge_window=0) as server:
        sizes: dict[str, Any] = {}
        async with Editor(server.url) as editor:
            sizes["stream"] = await measure_stream(server, editor, toggles)
            # Fewer, since each is held back for a moment, in which others would join it.
            sizes["compatible"] = await measure_stream(server, editor, toggles // 5, compatible=True)
            sizes["resume"] = await measure_resumes(server, editor)
        sizes["poll"] = await measure_polls(server.port)
    return sizes


async def measure_stream(
    server: ServerProcess, editor: Editor, toggles: int, *, compatible: bool = False
) -> dict[str, Any]:
    """Return the bytes of an update and a heartbeat, and the milliseconds from a change's request to its event."""
    client = StreamClient(server.port, compatible=compatible)
    client.start()
    try:
        await seen(client, "connected", 1)
        before = client.received
        # Nothing is written meanwhile, so the next bytes are a heartbeat's.
        await grown(client, before)
        heartbeat = client.received - before
        before, delays = client.received, []
        for number in range(toggles):
            began = time.monotonic()
            change = asyncio.create_task(editor.toggle(1))
            await seen(client, "flag.toggled", number + 1)
            delays.append(1000 * (time.monotonic() - began))
            await change
        # So little time has passed between two that there was no heartbeat.
        size = (client.received - before) / toggles
    finally:
        await client.stop()
    examine([client])
    return {"update": round(size), "heartbeat": heartbeat, "update_ms": spread(delays)}


async def seen(client: StreamClient, kind: str, count: int) -> None:
    """Wait until so many events of a type came."""
    try:
        async with asyncio.timeout(LIMIT):
            while client.events[kind] < count:
                await client.told.wait()
                client.told.clear()
    except TimeoutError:
        check(False, f"{kind} number {count} never came")


async def grown(client: StreamClient, size: int) -> None:
    """Wait until more bytes came."""
    end = time.monotonic() + LIMIT
    while client.received == size:
        check(time.monotonic() < end, "no heartbeat came")
        await asyncio.sleep(0.005)


async def measure_resumes(server: ServerProcess, editor: Editor) -> dict[str, int]:
    """Return the bytes from the request until the client is current, by what it missed."""
    epoch = (await download(server.port))[1].rpartition(":")[0]
    await editor.toggle(200)
    sizes = {}
    cursors = {"missed_0": 0, "missed_10": 10, "missed_200": 200}
    for name, behind in cursors.items():
        sizes[name] = await resume_size(server, f"{epoch}:{editor.revision - behind}", editor.revision)
    sizes["snapshot"] = await resume_size(server, _FOREIGN, editor.revision)
    return sizes


async def resume_size(server: ServerProcess, cursor: str, goal: int) -> int:
    """Return the bytes of one resume, the snapshot included if one is needed."""
    client = StreamClient(server.port, cursor=cursor)
    client.aim(goal)
    client.start()
    try:
        await until([client], LIMIT, f"with {cursor}")
    finally:
        await client.stop()
    examine([client])
    check(len(client.downloads) == (cursor == _FOREIGN), "the snapshot was loaded without need, or not with need")
    return client.sent + client.received + sum(client.downloads)


async def measure_polls(port: int) -> dict[str, int]:
    """Return the bytes of one poll."""
    identity, tag = await download(port, "Accept-Encoding: identity")
    compressed, _ = await download(port, "Accept-Encoding: gzip")
    same, _ = await download(port, "Accept-Encoding: gzip", f'If-None-Match: W/"{tag}"')
    return {"identity": identity, "gzip": compressed, "unchanged": same}


def per_hour(sizes: dict[str, Any], changes: int) -> dict[str, int]:
    """Return the bytes per client and hour, with changes at even distances."""
    stream, compatible, poll = sizes["stream"], sizes["compatible"], sizes["poll"]
    # A heartbeat follows silence; where a change is due there is none.
    heartbeats = changes * (-(-3600 // changes // _HEARTBEAT) - 1)
    changed = min(changes, _POLLS)
    events = changes * compatible["update"] + heartbeats * compatible["heartbeat"]
    unchanged = (_POLLS - changed) * poll["unchanged"]
    return {
        "stream": changes * stream["update"] + heartbeats * stream["heartbeat"],
        "flagent_stream_events": events,
        "flagent_stream_with_snapshots_gzip": events + changes * poll["gzip"],
        "flagent_stream_with_snapshots": events + changes * poll["identity"],
        "polling_gzip_304": changed * poll["gzip"] + unchanged,
        "polling_identity_304": changed * poll["identity"] + unchanged,
        "polling_gzip": _POLLS * poll["gzip"],
        "polling_identity": _POLLS * poll["identity"],
    }


class Meter:
    """Tells the CPU time that a server spends on what is asked of it, without what it spends idle."""

    def __init__(self, server: ServerProcess, idle: float = 0.0) -> None:
        self._server, self._idle = server, idle
        self._cpu, self._began = server.cpu(), time.monotonic()

    def seconds(self) -> float:
        """Return the CPU seconds since this meter was made."""
        return self._server.cpu() - self._cpu - self._idle * (time.monotonic() - self._began)


async def measure_load(database: str, count: int, toggles: int) -> dict[str, float]:
    """Return the microseconds of CPU time of the server per update, heartbeat and poll of a client."""
    with ServerProcess(database, heartbeat=300) as server:
        meter = Meter(server)
        await asyncio.sleep(_WHILE)
        idle = meter.seconds() / _WHILE
        clients = [StreamClient(server.port) for _ in range(count)]
        async with Editor(server.url) as editor:
            alone = await cpu_of_toggles(server, idle, editor, [], toggles)
            async with connected(server, clients):
                shared = await cpu_of_toggles(server, idle, editor, clients, toggles)
        polls = await cpu_of_polls(server, idle)
    with ServerProcess(database, heartbeat=0.5) as server:
        clients = [StreamClient(server.port) for _ in range(count)]
        async with connected(server, clients):
            heartbeat = await cpu_of_heartbeats(server, idle, clients)
    costs = {"update": (shared - alone) / (toggles * count), "heartbeat": heartbeat, **polls}
    return {"idle_percent": round(100 * idle, 2)} | {name: round(1e6 * cost, 2) for name, cost in costs.items()}


async def cpu_of_toggles(
    server: ServerProcess, idle: float, editor: Editor, clients: list[StreamClient], toggles: int
) -> float:
    """Return the CPU seconds of changes, with what all clients get."""
    meter = Meter(server, idle)
    for client in clients:
        client.aim(editor.revision + toggles)
    await editor.toggle(toggles)
    await until(clients, LIMIT, "under load")
    seconds = meter.seconds()
    if clients:
        examine(clients)
    return seconds


async def cpu_of_heartbeats(server: ServerProcess, idle: float, clients: list[StreamClient]) -> float:
    """Return the CPU seconds of one heartbeat to one client."""
    before, meter = sum(client.events["heartbeat"] for client in clients), Meter(server, idle)
    await asyncio.sleep(_WHILE)
    count = sum(client.events["heartbeat"] for client in clients) - before
    check(count >= len(clients), "heartbeats are missing")
    return meter.seconds() / count


async def cpu_of_polls(server: ServerProcess, idle: float) -> dict[str, float]:
    """Return the CPU seconds of one poll on a connection that stays open."""
    _, tag = await download(server.port)
    costs = {}
    async with httpx2.AsyncClient(trust_env=False, timeout=LIMIT) as http:
        for name, held in (("poll_unchanged", {"If-None-Match": f'"{tag}"'}), ("poll_gzip", {})):
            meter = Meter(server, idle)
            for _ in range(_LOAD_POLLS):
                answer = await http.get(f"{server.url}{SNAPSHOT}", headers={"Accept-Encoding": "gzip", **held})
                check(answer.status_code == (304 if held else 200), "the poll got another answer")
            costs[name] = meter.seconds() / _LOAD_POLLS
    return costs


def load_per_hour(cost: dict[str, float], changes: int) -> dict[str, float]:
    """Return the milliseconds of the server's CPU time per client and hour."""
    heartbeats = changes * (-(-3600 // changes // _HEARTBEAT) - 1)
    changed = min(changes, _POLLS)
    spent = {
        "stream": changes * cost["update"] + heartbeats * cost["heartbeat"],
        "polling_gzip_304": changed * cost["poll_gzip"] + (_POLLS - changed) * cost["poll_unchanged"],
        "polling_gzip": _POLLS * cost["poll_gzip"],
    }
    return {name: round(microseconds / 1000, 3) for name, microseconds in spent.items()}
