"""How the Celery worker and whoever sends it tasks reach each other: through files."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def settings(folder: Path) -> dict[str, Any]:
    """Return the configuration; the broker's files are below the folder."""
    messages = folder / "messages"
    for each in (messages, folder / "control"):
        each.mkdir(exist_ok=True)
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "control_folder": str(folder / "control"),
            "polling_interval": 0.02,
        },
        "task_ignore_result": True,
        "worker_enable_remote_control": False,
        "broker_connection_retry_on_startup": False,
        "worker_prefetch_multiplier": 4,
    }
