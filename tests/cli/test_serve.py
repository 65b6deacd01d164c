from __future__ import annotations

import http.client
import json
import re
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from program import Running, run


def url_in(line: str) -> str:
    found = re.search(r"http://\S+", line)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_server_says_where_it_is_and_ends_with_0_at_a_signal_while_a_stream_is_open(
    tmp_path: Path, number: signal.Signals
) -> None:
    with Running("serve", "--port", 0, "--database", f"sqlite:///{tmp_path}/flags.db") as server:
        url = url_in(server.until("serves"))
        stream = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        stream.request("GET", "/api/v1/realtime/sse")
        stream.getresponse().readline()

        code, _, _ = server.stop(number)
        stream.close()

    assert code == 0


def test_flags_are_kept_in_the_database_that_was_named(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/flags.db"
    with Running("serve", "--port", 0, "--database", database) as server:
        connection = http.client.HTTPConnection(urlsplit(url_in(server.until("serves"))).netloc, timeout=20)
        connection.request("POST", "/api/v1/flags", json.dumps({"key": "kept", "description": "d"}))
        connection.getresponse().read()
        connection.close()
        server.stop(signal.SIGTERM)

    with Running("serve", "--port", 0, "--database", database) as server:
        connection = http.client.HTTPConnection(urlsplit(url_in(server.until("serves"))).netloc, timeout=20)
        connection.request("GET", "/api/v1/flags")
        flags = json.loads(connection.getresponse().read())
        connection.close()

    assert [flag["key"] for flag in flags] == ["kept"]


def test_settings_come_from_the_environment_too(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/flags.db"
    with Running("serve", environ={"FLAGENT_PORT": "0", "FLAGENT_DATABASE_URL": database}) as server:
        line = server.until("serves")

    assert database in line
    assert not url_in(line).endswith(":18000")


def test_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code, _, errors = run("serve", "--port", port, "--database", f"sqlite:///{tmp_path}/flags.db")

    assert code == 2
    assert f"port {port} of 127.0.0.1 is in use" in errors


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (["--port", "70000"], {}, "70000"),
        (["--port", "many"], {}, "many"),
        (["--host", "256.0.0.1", "--port", "0"], {}, "256.0.0.1"),
        (["--database", "nothing"], {}, "database URL"),
        (["--database", "sqlite:////no/such/folder/flags.db"], {}, "/no/such/folder"),
        ([], {"FLAGENT_HEARTBEAT": "often"}, "FLAGENT_HEARTBEAT"),
        (["--prot", "1"], {}, "--prot"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_setting_that_can_not_be_used_is_named(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], message: str
) -> None:
    defaults = {"FLAGENT_DATABASE_URL": f"sqlite:///{tmp_path}/flags.db"}

    code, _, errors = run("serve", *arguments, environ={**defaults, **environ})

    assert code == 2
    assert message in errors
