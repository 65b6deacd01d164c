"""Several workers are one server: whatever is asked of one, and whichever of them dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx2
import pytest
from program import Running
from sse_messages import Subscriber
from waiting import until
from worker_processes import PATIENCE, crew, metrics, streams_at_all

from flagent import connect
from flagent.core import edits
from flagent.core.ids import Allocator
from flagent.server.storage import open_storage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tells the workers apart by /proc")

CONNECTIONS = "/api/v1/realtime/connections"


def create(client: httpx2.Client, key: str) -> int:
    answer = client.post("/api/v1/flags", json={"key": key, "description": "", "template": "simple_boolean_flag"})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["id"])


def keys_until(stream: Subscriber, revision: int) -> set[str]:
    """Return the keys of the flags that the stream brings until a revision, one by one or in one."""
    found: set[str] = set()
    while True:
        message = stream.next("sync", "flag.created")
        flags = message.data["flags"] if message.type == "sync" else [{"key": message.data["flagKey"]}]
        found |= {flag["key"] for flag in flags}
        if message.id.endswith(f":{revision}"):
            return found


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
def test_an_edit_at_any_worker_reaches_the_streams_at_every_worker(tmp_path: Path, database_url: str) -> None:
    with crew(tmp_path, database_url=database_url) as running, streams_at_all(running) as streams:
        for number, worker in enumerate(running.workers):
            with running.client_at(worker) as client:
                create(client, f"flag-{number}")

        received = [
            [each.next("flag.created").data["flagKey"] for _ in streams] for some in streams.values() for each in some
        ]

    assert received == [["flag-0", "flag-1"]] * 4


def test_what_one_worker_has_acknowledged_every_other_one_knows(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db") as running:
        first, second = running.workers
        with running.client_at(first) as one, running.client_at(second) as two:
            found = [two.get(f"/api/v1/flags/{create(one, f'flag-{number}')}").status_code for number in range(50)]

    assert found == [200] * 50


def test_what_another_process_commits_reaches_all_workers_without_a_hint(tmp_path: Path) -> None:
    database = tmp_path / "flagent.db"

    async def commit() -> None:
        storage = open_storage(f"sqlite:///{database}")
        await storage.open()
        stored = await storage.load()
        ids = Allocator(stored.ids)
        created = [edits.create_flag(ids, key="foreign", description="")]
        changes, _ = edits.stamp(stored.snapshot, created, actor=None, now_ms=0)
        await storage.append(changes, ids=ids.ids)
        await storage.close()

    with crew(database) as running, streams_at_all(running) as streams:
        asyncio.run(commit())

        for some in streams.values():
            assert [each.next("flag.created").data["flagKey"] for each in some] == ["foreign"] * 2


def test_a_killed_worker_comes_back_and_its_clients_miss_nothing(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db") as running, streams_at_all(running, each=1) as streams:
        victim, other = running.workers
        with running.client_at(other) as client, connect(running.url) as manager:
            create(client, "before")
            seen = streams[victim][0].next("flag.created").id

            os.kill(victim, signal.SIGKILL)
            with pytest.raises(EOFError):
                streams[victim][0].next("none")
            create(client, "meanwhile")
            until(lambda: len(running.workers) == 2, PATIENCE)
            new = next(pid for pid in running.workers if pid != other)
            until(lambda: metrics(client)["flagent_workers"] == 2, PATIENCE)
            create(client, "after")

            with running.stream_at(new, f"payload=flag&after={seen}") as resumed:
                assert keys_until(resumed, 3) == {"meanwhile", "after"}
            assert keys_until(streams[other][0], 3) == {"before", "meanwhile", "after"}
            until(lambda: str(manager.status.cursor).endswith(":3"), PATIENCE)


def test_metrics_are_those_of_all_workers_and_never_go_back(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db") as running, streams_at_all(running) as streams:
        first, second = running.workers
        question = {"flagKey": "none", "entityID": "u"}
        with running.client_at(first) as one, running.client_at(second) as two:
            for client in (one, one, two):
                client.post("/api/v1/evaluation", json=question).raise_for_status()
            found = [metrics(client) for client in (one, two)]

            os.kill(second, signal.SIGKILL)
            # Answered for the one that is gone, or by the one in its place.
            afterwards = [metrics(one) for _ in range(20)]
            until(lambda: metrics(one)["flagent_workers"] == 2, PATIENCE)
            one.post("/api/v1/evaluation", json=question).raise_for_status()
            last = metrics(one)

        name = 'flagent_streams{kind="sse"}'
        assert [each["flagent_evaluations_total"] for each in found] == [3, 3]
        assert [each[name] for each in found] == [4, 4]
        assert [each["flagent_workers"] for each in found] == [2, 2]
        assert [each["flagent_revision"] for each in found] == [0, 0]
        assert {each["flagent_evaluations_total"] for each in afterwards} == {3}
        assert {each[name] for each in afterwards[1:]} == {2}
        assert last["flagent_evaluations_total"] == 4
        assert last['flagent_streams_opened_total{resume="none"}'] == 4
        del streams


def test_connections_of_all_workers_are_listed_and_reached_from_each(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db") as running, streams_at_all(running, each=1) as streams:
        first, second = running.workers
        with running.client_at(first) as one, running.client_at(second) as two:
            listed = [client.get(CONNECTIONS).json() for client in (one, two)]
            numbers = {name_of(streams[worker][0]): worker for worker in running.workers}
            ids = {worker: found["id"] for found in listed[0] if (worker := numbers[found["address"]])}
            told = one.post(f"{CONNECTIONS}/{ids[second]}/resync")
            closed = two.delete(f"{CONNECTIONS}/{ids[first]}")
            missing = one.delete(f"{CONNECTIONS}/{ids[first] + 1}")
            health = two.get("/api/v1/realtime/sse/health").json()

            assert [sorted(each["id"] for each in found) for found in listed] == [sorted(ids.values())] * 2
            assert (told.status_code, closed.status_code, missing.status_code) == (200, 200, 404)
            assert streams[second][0].next().type == "resync"
            assert streams[first][0].next("goodbye").data["reason"] == "closed"
            assert health["activeConnections"] in ("1", "2")


def name_of(stream: Subscriber) -> str:
    return "{}:{}".format(*stream.socket.getsockname())


def test_a_key_counts_at_all_workers_at_once_and_its_end_ends_streams_at_all(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db") as running:
        first, second = running.workers
        with running.client_at(first) as one, running.client_at(second) as two:
            secret = one.post("/api/v1/keys", json={"name": "a", "kind": "admin"}).json()["secret"]
            one.headers["X-API-Key"] = two.headers["X-API-Key"] = secret
            made = two.post("/api/v1/keys", json={"name": "s", "kind": "server"})
            headers = {"X-API-Key": made.json()["secret"]}
            streams = [
                running.at(worker, lambda: Subscriber(running.port, headers=headers)) for worker in running.workers
            ]
            for stream in streams:
                stream.next("connected")

            assert one.delete(f"/api/v1/keys/{made.json()['id']}").status_code == 200

            for stream in streams:
                assert stream.next("goodbye").data["reason"] == "revoked"
                stream.close()


def test_limits_count_for_all_workers_together(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db", max_streams=3, rate_limit=20.0) as running:
        first, second = running.workers
        with running.client_at(first) as one, running.client_at(second) as two, streams_at_all(running, 1) as streams:
            third = running.stream_at(first)
            refused = [running.at(worker, lambda: Subscriber(running.port)) for worker in running.workers]
            assert [each.status for each in refused] == [503, 503]
            for each in [third, *refused, *(stream for some in streams.values() for stream in some)]:
                each.close()

            # Twice the rate may come at once; at the other worker it is soon used up as well.
            assert 429 in [one.get("/api/v1/flags").status_code for _ in range(60)]
            until(lambda: two.get("/api/v1/flags").status_code == 429, PATIENCE)


def test_all_listen_at_the_port_that_is_told_once(tmp_path: Path) -> None:
    with crew(tmp_path / "flagent.db", count=3) as running:
        answers = [running.at(worker, lambda: httpx2.get(f"{running.url}/healthz")) for worker in running.workers]
        running.server.send_signal(signal.SIGTERM)
        said, _ = running.server.communicate(timeout=20)

    assert [each.status_code for each in answers] == [200] * 3
    assert said == ""


_THREADED = """
import sys, threading, time
from flagent.server.run import serve
from flagent.server.settings import Settings
if __name__ == "__main__":
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    serve(Settings(port=0, workers=2, database_url=sys.argv[1]), on_ready=lambda url: print(url, flush=True))
"""


def test_a_program_with_threads_can_have_workers_too(tmp_path: Path) -> None:
    """They are not forked then, but started anew."""
    program = tmp_path / "program.py"
    program.write_text(_THREADED)
    command = [sys.executable, str(program)]
    with Running(f"sqlite:///{tmp_path / 'flagent.db'}", program=command) as server:
        url = server.until("http")
        with httpx2.Client(base_url=url, trust_env=False) as client:
            create(client, "a")
            assert metrics(client)["flagent_workers"] == 2

        assert server.stop(signal.SIGTERM)[0] == 0
