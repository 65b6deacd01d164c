"""What only PostgreSQL can do to a server: many writers at once, and a database that goes away and comes back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from live import LiveServer
from postgres import Cluster
from stored import with_storage

from flagent.core.changes import Snapshot
from flagent.errors import StorageUnavailable
from flagent.server.settings import Settings
from flagent.server.storage import Storage, open_storage

pytestmark = pytest.mark.timeout(120)

_WRITER = """
import asyncio, sys
from flagent.core import edits
from flagent.server.app import create_app
from flagent.server.settings import Settings

async def main(url, name, count):
    app = create_app(Settings(database_url=url))
    await app.start()
    services = app.services
    for number in range(count):
        def decide(state):
            return [edits.create_flag(state.ids, key=f"{name}-{number}", description="")]
        await services.editor.edit(name, decide)
    await services.hub.reached(int(sys.argv[4]), 60)
    print(services.hub.cursor.revision, services.hub.snapshot.digest)
    await app.stop()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.fixture
def database(cluster: Cluster) -> str:
    return cluster.new_database()


def test_four_processes_that_write_at_once_leave_no_gap_and_end_with_the_same_state(database: str) -> None:
    with_storage(database, Storage.load)
    processes, each = 4, 25
    total = processes * each
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, database, f"p{number}", str(each), str(total)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    outputs = [process.communicate(timeout=100) for process in running]

    changes = with_storage(database, lambda storage: storage.changes_after(0))
    stored = with_storage(database, Storage.load)

    assert [error for _, error in outputs if "Traceback" in error] == []
    assert [change.revision for change in changes] == list(range(1, total + 1))
    assert len({change.flag_id for change in changes}) == total
    assert {output.strip() for output, _ in outputs} == {f"{total} {stored.snapshot.digest}"}
    replayed = Snapshot.of(stored.snapshot.epoch, 0, ())
    for change in changes:
        replayed = replayed.after(change)
    assert replayed.digest == stored.snapshot.digest


def test_an_edit_by_another_process_arrives_in_far_less_than_the_poll(
    database: str, start_server: Callable[..., LiveServer]
) -> None:
    here, there = start_server(database_url=database), start_server(database_url=database)
    delays = []
    for number in range(10):

        async def edit(number: int = number) -> float:
            loop = asyncio.get_running_loop()
            async with httpx2.AsyncClient(base_url=f"{there.url}/api/v1", trust_env=False) as http:
                answer = await http.post("/flags", json={"key": f"k{number}", "description": ""})
            began = loop.time()
            assert answer.status_code == 200
            await here.services.hub.reached(answer.json()["snapshotID"], 5)
            return loop.time() - began

        delays.append(here.run(edit()))

    assert sorted(delays)[5] < 0.5


def test_a_server_whose_connections_are_cut_heals_by_itself(
    cluster: Cluster, database: str, start_server: Callable[..., LiveServer]
) -> None:
    server = start_server(database_url=database)
    server.create_flag("a")
    name = database.rpartition("/")[2].partition("?")[0]

    cluster.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    )

    assert edited_at_last(server) == 2
    # And what another process writes is heard again.
    other = start_server(database_url=database)
    other.create_flag("c")
    server.wait_until(lambda: server.services.hub.cursor.revision == 3)


def edited_at_last(server: LiveServer) -> Any:
    async def until_written() -> Any:
        async with httpx2.AsyncClient(base_url=f"{server.url}/api/v1", trust_env=False, timeout=20) as http:
            while True:
                answer = await http.post("/flags", json={"key": "b", "description": ""})
                if answer.status_code == 200:
                    return answer.json()["snapshotID"]
                assert answer.status_code == 503, answer.text
                await asyncio.sleep(0.05)

    return asyncio.run(asyncio.wait_for(until_written(), 60))


def test_while_the_database_is_away_reads_and_streams_go_on_and_writes_say_when_to_come_back(
    cluster: Cluster, database: str, start_server: Callable[..., LiveServer]
) -> None:
    if cluster.restart is None:
        pytest.skip("the PostgreSQL that was named is not ours to stop")
    server = start_server(database_url=database, heartbeat=0.2)
    server.create_flag("a", enabled=True)
    found: dict[str, Any] = {}

    with httpx2.stream("GET", f"{server.url}/realtime/sse?payload=flag", trust_env=False, timeout=20) as stream:
        chunks = stream.iter_raw()
        next(chunks)

        def meanwhile() -> None:
            refused = server.http.put("/flags/1", json={"notes": "n"})
            found["write"] = (refused.status_code, set(refused.json()), "retry-after" in refused.headers)
            found["read"] = server.http.get("/flags/1").status_code
            found["evaluation"] = server.http.post("/evaluation", json={"flagID": 1, "entityID": "u"}).json()
            found["stream"] = next(chunks)

        cluster.restart(meanwhile)

        assert found["write"] == (503, {"message"}, True)
        assert found["read"] == 200
        assert found["evaluation"]["variantKey"] == "on"
        assert b"heartbeat" in found["stream"]
        revision = edited_at_last(server)
        assert server.http.get("/flags/1").json()["notes"] is None
        assert revision == 3
        assert any(b"flag.created" in chunk for chunk in chunks)


def test_no_password_shows_when_the_database_refuses(cluster: Cluster) -> None:
    url = "postgresql://flagent:top-secret@127.0.0.1:1/flags"

    async def use() -> None:
        storage = open_storage(url)
        try:
            await storage.open()
        finally:
            await storage.close()

    with pytest.raises(StorageUnavailable) as caught:
        asyncio.run(use())

    assert "top-secret" not in str(caught.value)
    assert "top-secret" not in repr(caught.value.__cause__)
    assert "top-secret" not in repr(Settings(database_url=url))
