"""G12: a proxy that holds a stream back."""

from __future__ import annotations

import pytest
from raw_server import Connection, Request
from sdk_parts import CONNECTED, ManagerOf, StartRaw, document, keys_of
from waiting import until

from flagent import State, TransportError


@pytest.mark.covers("G12", "F13")
def test_stream_that_a_proxy_holds_back_is_called_so_and_polling_helps_out(
    raw_server: StartRaw, manager_of: ManagerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagent.wire.feed.HELLO_TIMEOUT", 0.1)
    keys, holds = ["a"], True

    def answer(request: Request, connection: Connection) -> None:
        if request.is_export:
            connection.answer(document(len(keys), *keys))
        elif holds:
            connection.begin_stream()
            connection.hang()
        else:
            connection.begin_stream(("connected", {**CONNECTED, "revision": f"e:{len(keys)}"}))
            connection.hang()

    manager = manager_of(raw_server(answer).url, fallback_after=0.2, refresh_interval=0.05)
    with pytest.raises(TransportError) as failure:
        manager.enable_realtime_updates(timeout=1)
    keys.append("b")
    until(lambda: keys_of(manager) == {"a", "b"})

    assert failure.value.kind == "buffered"
    assert manager.status.state is State.POLLING
    assert getattr(manager.status.last_error, "kind", None) == "buffered"

    holds = False
    until(manager.is_realtime_enabled)
    assert manager.status.last_error is None
