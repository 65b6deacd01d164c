"""Sends tasks to the Celery worker until it is ended."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Celery  # type: ignore[import-not-found,import-untyped,unused-ignore]
from client.fork_apps.celery_settings import settings

folder = Path(os.environ["FLAGENT_TEST_FOLDER"])
app = Celery("sender")
app.conf.update(settings(folder))

while True:
    # No more than the worker takes, so that it does not look at old ones for long.
    if len(list((folder / "messages").iterdir())) < 20:
        app.send_task("look")
    time.sleep(0.005)
