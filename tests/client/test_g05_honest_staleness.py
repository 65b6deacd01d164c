"""G5: what a manager says about how fresh its flags are is never too good."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import httpx2
import pytest
from raw_server import Connection, Request
from sdk_parts import ManagerOf, StartRaw, document
from server_process import process
from waiting import until

from flagent import State, Status

_HEARTBEAT = 0.2
TAG = '"e:1"'
#: Seconds that a look at the status, or the last bytes before the silence, may take on a busy machine.
_MARGIN = 0.5


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes can't be stopped here")
@pytest.mark.covers("G5", "F05", "F64", "I5", "I6")
def test_staleness_counts_from_the_last_sign_of_a_server_that_falls_silent_with_its_connections_open(
    tmp_path: Path, manager_of: ManagerOf
) -> None:
    before, silent = list[Status](), list[tuple[float, Status]]()
    with (
        process(tmp_path / "flagent.db", heartbeat=_HEARTBEAT) as (server, url),
        httpx2.Client(base_url=f"{url}/api/v1", trust_env=False) as http,
    ):
        http.post("/flags", json={"key": "a", "description": ""}).raise_for_status()
        manager = manager_of(url, auto_refresh=False, safety_poll_interval=0)
        manager.bootstrap()
        manager.enable_realtime_updates()

        def stale_for(seconds: float, said: Status) -> bool:
            assert said.staleness is not None
            return said.staleness > seconds

        def looked() -> Status:
            before.append(manager.status)
            return before[-1]

        def looked_in_silence() -> Status:
            silent.append((time.monotonic() - stopped_at, manager.status))
            return silent[-1][1]

        until(lambda: stale_for(_HEARTBEAT / 2, looked()))
        stopped_at = time.monotonic()
        server.send_signal(signal.SIGSTOP)
        try:
            # Longer than heartbeats may be missed. Reconnections are accepted: the kernel does that by itself.
            until(lambda: stale_for(2.0, looked_in_silence()))
            assert manager.evaluate("a", "u").flag_key == "a"
        finally:
            server.send_signal(signal.SIGCONT)
        # What the stream says may count from as early as it was asked for: while the server was stopped.
        leeway = 2.0 + _HEARTBEAT + 2 * _MARGIN
        until(lambda: manager.status.state is State.LIVE and not stale_for(leeway, manager.status))

    said = [*before, *(status for _, status in silent)]
    assert all(status.staleness is not None for status in said)
    live = [status for status in said if status.state is State.LIVE]
    assert all((status.staleness or 0.0) <= (status.staleness_bound or 0.0) + _MARGIN for status in live)
    assert all((status.staleness or 0.0) >= since - _MARGIN for since, status in silent)
    assert silent[-1][1].state is not State.LIVE


@pytest.mark.parametrize("not_modified", [False, True])
@pytest.mark.covers("G5", "F08", "I5")
def test_what_comes_slowly_is_as_old_as_the_request_for_it(
    raw_server: StartRaw, manager_of: ManagerOf, not_modified: bool
) -> None:
    """It says what was true when the server was asked, or a little later, and not when the last byte arrives."""
    asked_at: list[float] = []

    def answer(request: Request, connection: Connection) -> None:
        asked_at.append(time.monotonic())
        slow.wait(0.5)
        if not_modified and "if-none-match" in request.headers:
            connection.answer(b"", 304, ETag=TAG)
        else:
            connection.answer(document(1, "a"), ETag=TAG)

    slow = threading.Event()
    manager = manager_of(raw_server(answer).url, auto_refresh=False)
    manager.bootstrap()
    manager.refresh()

    now = time.monotonic()
    staleness = manager.status.staleness
    assert staleness is not None
    assert staleness >= now - asked_at[-1]
    assert len(asked_at) == 2
