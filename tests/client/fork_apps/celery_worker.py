"""A Celery worker whose parent has a live manager; its broker is a folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Celery  # type: ignore[import-not-found,import-untyped,unused-ignore]
from client.fork_apps.celery_settings import settings
from client.fork_apps.live_manager import keep_writing, write

app = Celery("flags", set_as_current=True)
app.conf.update(settings(Path(os.environ["FLAGENT_TEST_FOLDER"])))


@app.task(name="look")  # type: ignore[untyped-decorator,unused-ignore]
def look() -> None:
    """Say what this worker sees, and keep it busy for long enough that the others get tasks too."""
    write(f"worker{os.getpid()}")
    time.sleep(0.03)


keep_writing("parent")
