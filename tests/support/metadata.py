"""A cloud's metadata service in miniature: a stand-in for AWS's, Google's and Alibaba's, with a notice to be given."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

TOKEN = "AQAEAL-a-token"  # the stand-in's own, good for nothing


class Metadata:
    """Serves on a free port inside its `with`; `notices` are answers by path, 404 where there is none."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        """Serve at `host`; containers reach only the engine's own bridge."""
        self._host = host
        self.notices: dict[str, str] = {}
        self.broken = False  # it answers everything with 500
        self.tokens = 0  # how many were lent
        self.expired = False  # what was lent is refused, until another is asked for
        self.looks = threading.Semaphore(0)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._get(self)

            def do_PUT(self) -> None:
                outer._put(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def address(self) -> str:
        """Return where it is."""
        return f"http://{self._host}:{self._server.server_port}"

    def __enter__(self) -> Metadata:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        self.looks.release()
        aws, google = request.path.startswith("/latest/meta-data/spot/"), request.path.startswith("/computeMetadata/")
        if self.broken:
            answer(request, 500, "")
        elif aws and (self.expired or request.headers.get("X-aws-ec2-metadata-token") != TOKEN):
            answer(request, 401, "")
        elif google and request.headers.get("Metadata-Flavor") != "Google":
            answer(request, 403, "")
        elif request.path in self.notices:
            answer(request, 200, self.notices[request.path])
        else:
            answer(request, 404, "<html>404 - Not Found</html>")

    def _put(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if request.path != "/latest/api/token" or not asked.isdecimal() or int(asked) > 21_600:
            answer(request, 400, "")
            return
        self.tokens += 1
        self.expired = False
        answer(request, 200, TOKEN)


def answer(request: BaseHTTPRequestHandler, code: int, text: str) -> None:
    """Send one answer."""
    request.send_response(code)
    request.send_header("Content-Length", str(len(text.encode())))
    request.end_headers()
    request.wfile.write(text.encode())
