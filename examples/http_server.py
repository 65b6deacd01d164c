"""An HTTP server that asks a flag at every request: no network, no lock, always up to date.

Run a server (`flagent demo` has sample flags), then: python examples/http_server.py [URL], and
curl 'http://127.0.0.1:8080/feature?user=user123'. PORT=0 takes any free port.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from flagent import FlagentClient, FlagentError, OfflineManager

url = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FLAGENT_URL", "http://localhost:18000")
manager = OfflineManager(FlagentClient(f"{url}/api/v1"))


class CheckFeature(BaseHTTPRequestHandler):
    """Answers GET /feature?user=<id> with {"enabled": true or false}."""

    def do_GET(self) -> None:
        user = parse_qs(urlsplit(self.path).query).get("user", ["user123"])[0]
        body = json.dumps({"enabled": manager.is_enabled("new_feature", user)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    manager.bootstrap()
    manager.enable_realtime_updates(url)

    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), CheckFeature)

    def end(_number: int, _frame: object) -> None:
        # shutdown() waits for serve_forever(), which runs in this thread: another one has to call it.
        threading.Thread(target=server.shutdown).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    print(f"Listening at http://127.0.0.1:{server.server_port}/feature", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    try:
        with manager:
            main()
    except FlagentError as exc:
        sys.exit(f"http_server: {exc}")
