"""A container registry that has no image: it answers as the specification says, on a port of this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Empty(BaseHTTPRequestHandler):
    """Knows its own version, and no manifest."""

    def do_GET(self) -> None:
        """Answer the version's check with yes, everything else with MANIFEST_UNKNOWN."""
        there = self.path == "/v2/"
        error = {"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}
        body = json.dumps({} if there else {"errors": [error]}).encode()
        self.send_response(200 if there else 404)
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing: pytest's output is the tests'."""


@contextmanager
def empty_registry() -> Iterator[str]:
    """Serve the registry; yields its `host:port`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Empty) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
