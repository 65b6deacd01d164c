"""The servers that fan out: ours, and three that are told to send the same bytes as ours.

floor    a program in C, which does nothing but one write() for each client
nchan    nginx with the module of Debian's package libnginx-mod-nchan
go       a program in Go with net/http
"""

from __future__ import annotations

import json
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from api import check, fill
from building import Missing, c_program, go_program
from processes import HOST, ServerProcess, free_port
from subscribing import REVISION, Subscribers, blocks

FULL = "/api/v1/realtime/sse?payload=flag"
COMPATIBLE = "/api/v1/realtime/sse"
_FLAGS = 100
_START_LIMIT = 10.0
_NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_NCHAN = """
load_module {module};
daemon off;
master_process off;
worker_rlimit_nofile {files};
error_log {folder}/error.log error;
pid {folder}/pid;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /stream {{
            nchan_subscriber eventsource;
            nchan_channel_id events;
            nchan_subscriber_first_message newest;
        }}
        location = /publish {{
            nchan_publisher;
            nchan_channel_id events;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Running:
    """A server that runs.

    Attributes:
        port: where.
        pid: its one process.
        path: what subscribers ask for.
        event: the request that makes the event of a number.
    """

    port: int
    pid: int
    path: str
    event: Callable[[int], bytes]


@contextmanager
def flagent(path: str = FULL) -> Iterator[Running]:
    """Run our server without what holds streams and events back, and without a drain in the end."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"open_rate": 0, "nudge_window": 0, "coalesce_window": 0, "drain_window": 0}
        with ServerProcess(f"sqlite:///{folder}/flags.db", **settings) as server:
            fill(server.url, _FLAGS)
            yield Running(server.port, server.pid, path, lambda number: toggle(1, number))


def toggle(flag_id: int, number: int) -> bytes:
    """Return the request that switches a flag: on if the number is odd."""
    # `fill` has switched it on.
    body = json.dumps({"enabled": number % 2 == 0}).encode()
    return request("PUT", f"/api/v1/flags/{flag_id}/enabled", body)


def request(method: str, path: str, body: bytes, *headers: str) -> bytes:
    """Return a request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def event_of(path: str) -> bytes:
    """Return an event as our server sends it to streams of that path."""
    with flagent(path) as server, Subscribers(server.port, 1, path) as one:
        one.connect()
        one.events([server.event(number) for number in range(1, 3)])
        return blocks(one.examine())[-1]


def numbered(event: bytes, number: int) -> bytes:
    """Return the event with another revision, of a number with as many digits."""
    found = REVISION.search(event)
    check(found is not None, "an event has no revision")
    assert found is not None
    old = found[1]
    return event.replace(b":%b" % old, b":%0*d" % (len(old), number))


@contextmanager
def floor(event: bytes) -> Iterator[Running]:
    """Run the program in C."""
    with _program([str(c_program("floor"))], event) as running:
        yield running


@contextmanager
def python_floor(event: bytes) -> Iterator[Running]:
    """Run the same program in Python."""
    with _program([sys.executable, str(Path(__file__).with_name("floor.py"))], event) as running:
        yield running


@contextmanager
def go(event: bytes) -> Iterator[Running]:
    """Run the program in Go."""
    with _program([str(go_program("fanout"))], event) as running:
        yield running


@contextmanager
def _program(command: list[str], event: bytes) -> Iterator[Running]:
    port = free_port()
    with process([*command, str(port)], port) as pid:
        yield Running(port, pid, "/stream", lambda number: request("POST", "/publish", numbered(event, number)))


@contextmanager
def nchan(event: bytes) -> Iterator[Running]:
    """Run nginx with nchan; it frames the data of the event by itself."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None or not _NCHAN_MODULE.exists():
        raise Missing("no nginx with nchan: apt-get install nginx-light libnginx-mod-nchan")
    lines = dict(line.split(b": ", 1) for line in event.strip().split(b"\n"))
    name = f"X-EventSource-Event: {lines[b'event'].decode()}"
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        settings = Path(folder) / "nginx.conf"
        settings.write_text(_nchan_settings(folder, port))
        with process([program, "-p", folder, "-c", str(settings)], port) as pid:
            data = lines[b"data"]
            yield Running(
                port, pid, "/stream", lambda number: request("POST", "/publish", numbered(data, number), name)
            )


def _nchan_settings(folder: str, port: int) -> str:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # nginx takes no more when only a sixteenth of its connections is free.
    return _NCHAN.format(module=_NCHAN_MODULE, files=files, connections=2 * files, folder=folder, port=port)


@contextmanager
def process(command: list[str], port: int) -> Iterator[int]:
    """Run a program until it listens, and end it afterwards."""
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors) as running,
    ):
        try:
            limit = time.monotonic() + _START_LIMIT
            while not _listens(port):
                if running.poll() is not None or time.monotonic() > limit:
                    errors.seek(0)
                    said = errors.read().decode(errors="replace").strip()[-300:]
                    raise Missing(f"{Path(command[0]).name} does not start: {said}")
                time.sleep(0.02)
            yield running.pid
        finally:
            running.kill()


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False
