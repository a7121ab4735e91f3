"""Stands between the bot and the workspace and breaks what it is told to: a lost answer, a refusal, a limit."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What to do with the next call of a method."""

    method: str  # "chat.postMessage"
    forward: bool  # whether the workspace gets to see the call
    status: int | None  # None: the connection is closed without an answer
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


def lost(method: str) -> Fault:
    """Return a call that is done and whose answer never comes."""
    return Fault(method=method, forward=True, status=None)


def down(method: str) -> Fault:
    """Return a call that ends in a gateway's error and was not done."""
    return Fault(method=method, forward=False, status=503)


def limited(method: str, seconds: int) -> Fault:
    """Return a call that is one too many."""
    body = {"ok": False, "error": "ratelimited"}
    return Fault(method=method, forward=False, status=429, body=body, headers={"Retry-After": str(seconds)})


def refused(method: str, error: str) -> Fault:
    """Return a call that Slack answers with an error word."""
    return Fault(method=method, forward=False, status=200, body={"ok": False, "error": error})


class Relay:
    """A server that passes everything on but for the faults, each of which happens once, in order."""

    def __init__(self, target: str) -> None:
        self.target = target.rstrip("/")
        self.faults: list[Fault] = []
        self.calls: list[str] = []
        self._lock = threading.Lock()
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                relay._handle(self)

            def do_GET(self) -> None:
                relay._handle(self)

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        """Return the Web API's base as the bot is to see it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/"

    def close(self) -> None:
        """Leave nothing running."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        method = request.path.split("?")[0].rpartition("/")[2]
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        with self._lock:
            self.calls.append(method)
            fault = next((one for one in self.faults if one.method == method), None)
            if fault is not None:
                self.faults.remove(fault)
        answer = None if fault is not None and not fault.forward else self._forward(request, body)
        if fault is not None:
            self._break(request, fault)
        elif answer is not None:
            self._reply(request, *answer)

    def _break(self, request: BaseHTTPRequestHandler, fault: Fault) -> None:
        if fault.status is None:
            request.close_connection = True
            request.connection.shutdown(2)
        else:
            self._reply(
                request,
                fault.status,
                {"Content-Type": "application/json", **fault.headers},
                json.dumps(fault.body).encode(),
            )

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        dropped = ("host", "content-length", "connection", "accept-encoding")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
        url = f"{self.target}{request.path.removeprefix('/api')}"
        answer = httpx.request(request.command, url, content=body, headers=headers, timeout=10)
        return answer.status_code, dict(answer.headers), answer.content

    @staticmethod
    def _reply(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
        request.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "date", "server", "connection"):
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
