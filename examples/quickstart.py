"""Quick start: load all flags once, evaluate them in process, and let every change arrive by itself.

Run a server (`flagent demo` has sample flags), then: python examples/quickstart.py [URL]
"""

from __future__ import annotations

import os
import sys

from flagent import FlagentClient, FlagentError, OfflineConfig, OfflineManager

url = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FLAGENT_URL", "http://localhost:18000")


def main() -> None:
    client = FlagentClient(f"{url}/api/v1")
    # Without auto refresh nothing polls: the stream alone keeps the flags fresh.
    with OfflineManager(client, OfflineConfig(auto_refresh=False)) as manager:
        manager.bootstrap()

        # 1. Every flag.
        manager.enable_realtime_updates(url)
        if manager.is_realtime_enabled():
            print("Real-time updates active!")

        result = manager.evaluate("new_feature", "user123", {"region": "EU"})
        print(f"new_feature for user123: {result.variant_key} ({result.reason})")
        if result.is_enabled():
            print("the feature is on; its colour is", result.get_attachment_value("color", "grey"))

        # 2. Only these flags, by key or by id: less traffic where there are thousands.
        manager.disable_realtime_updates()
        manager.enable_realtime_updates(url, flag_keys=["new_payment_flow", "premium_feature"])
        print("following two flags by key:", manager.is_realtime_enabled())

        manager.disable_realtime_updates()
        manager.enable_realtime_updates(url, flag_ids=[1, 2, 5])
        print("following three flags by id:", manager.is_realtime_enabled())


if __name__ == "__main__":
    try:
        main()
    except FlagentError as exc:
        sys.exit(f"quickstart: {exc}")
