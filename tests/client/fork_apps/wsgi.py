"""A WSGI application that answers with what the worker says about the flag."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from client.fork_apps.live_manager import shown


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer with what the worker sees; below `/idle` without a look at the manager."""
    idle = {"pid": os.getpid(), "enabled": False, "live": True}
    body = json.dumps(idle if environ["PATH_INFO"] == "/idle" else shown()).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
