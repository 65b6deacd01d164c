"""A manager that is live as soon as this module is imported: in the parent, in programs that fork afterwards."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

from flagent import OfflineConfig, OfflineManager

FLAG = "new_feature"
#: Only the stream keeps it fresh: what polling would show proves nothing here.
manager = OfflineManager(os.environ["FLAGENT_TEST_URL"], OfflineConfig(auto_refresh=False, reconnect_delay=0.05))
manager.bootstrap()
manager.enable_realtime_updates()


def shown() -> dict[str, object]:
    """Return what this process says about the flag and about itself."""
    enabled = manager.is_enabled(FLAG, "user123")
    return {"pid": os.getpid(), "enabled": enabled, "live": manager.is_realtime_enabled()}


def write(name: str) -> None:
    """Write what this process says to a file that the test reads."""
    folder = Path(os.environ["FLAGENT_TEST_FOLDER"])
    unfinished = folder / f".{os.getpid()}.{threading.get_ident()}"
    unfinished.write_text(json.dumps(shown()))
    unfinished.replace(folder / f"{name}.json")


def keep_writing(name: str) -> None:
    """Write it again and again, in a thread, which forked children do not have."""

    def work() -> None:
        while True:
            write(name)
            time.sleep(0.02)

    threading.Thread(target=work, name="status file", daemon=True).start()
