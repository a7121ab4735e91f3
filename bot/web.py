"""What the bot serves over HTTP: files behind signed links, its health, and Slack where it comes over HTTP."""

from __future__ import annotations

import socket
import threading

import uvicorn
from slack_bolt import App
from slack_bolt.adapter.starlette.handler import to_bolt_request, to_starlette_response
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bot import whole_log
from bot.door import Door
from bot.health import Health
from bot.links import LinkRefused, Links
from bot.scrapes import Scrapes
from bot.whole_log import WholeLog, WholeLogs
from jobs.errors import Misconfigured
from trainer.storage import StoreFault

START_SECONDS = 10.0
BODY_LIMIT = 1_000_000  # bytes of a delivery of Slack's; its largest are views of 250 KB
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}
_ABOUT = """Hourglass: rents GPUs by the hour for a team in Slack, and no machine outlives its deadline.

/healthz   whether deadlines are enforced and people are told
/metrics   the same in numbers, for Prometheus
/files/…   checkpoints, behind links that are signed and expire
/logs/…    what a job's command printed, behind such links
"""


def build(
    *, links: Links, health: Health, app: App | None = None, door: Door | None = None, scrapes: Scrapes | None = None
) -> Starlette:
    """Return the site; Slack's deliveries are taken only where there is a door that checks them."""
    logs = WholeLogs(links.store)

    def about(request: Request) -> Response:
        return PlainTextResponse(_ABOUT)

    def healthz(request: Request) -> Response:
        troubles = health.troubles()
        body = {"ok": not troubles, "troubles": troubles}
        return JSONResponse(body, status_code=503 if troubles else 200)

    def file(request: Request) -> Response:
        asked = request.query_params
        try:
            path = links.open(request.path_params["key"], asked.get("exp", ""), asked.get("sig", ""))
        except LinkRefused as error:
            return PlainTextResponse(str(error), status_code=403, headers=_SAFE)
        return FileResponse(path, filename=path.name, media_type="application/octet-stream", headers=_SAFE)

    def log(request: Request) -> Response:
        asked, prefix = request.query_params, request.path_params["prefix"]
        try:
            chunks = links.open_log(prefix, asked.get("exp", ""), asked.get("sig", ""))
        except LinkRefused as error:
            return PlainTextResponse(str(error), status_code=403, headers=_SAFE)
        try:
            found = logs.find(chunks)
        except StoreFault:
            return PlainTextResponse("The store cannot be reached. Try again.", status_code=503, headers=_SAFE)
        if found is None:
            return PlainTextResponse("There is no log any more.", status_code=404, headers=_SAFE)
        return _sent(logs, found, prefix.removeprefix("jobs/").replace("/", "-"), request.headers)

    async def deliveries(request: Request) -> Response:
        assert app is not None and door is not None  # the route exists only then  # noqa: S101
        body = await _body(request)
        if body is None:
            return PlainTextResponse("Too large.", status_code=413)
        if refusal := door.refusal(request.headers.raw, body):
            return PlainTextResponse(refusal, status_code=401)
        # Listeners block, so they get a thread; the loop goes on answering health checks meanwhile.
        return to_starlette_response(await run_in_threadpool(app.dispatch, to_bolt_request(request, body)))

    routes = [
        Route("/", about),
        Route("/healthz", healthz),
        Route("/files/{key:path}", file, methods=["GET", "HEAD"]),
        Route("/logs/{prefix:path}", log),
    ]
    if scrapes is not None:
        routes.append(Route("/metrics", scrapes.answer))
    if app is not None and door is not None:
        routes.append(Route("/slack/events", deliveries, methods=["POST"]))
    return Starlette(routes=routes)


def _sent(logs: WholeLogs, log: WholeLog, name: str, asking: Headers) -> Response:
    """Return a log, or the part of it that is asked for; a store that fails on the way cuts it short of its length."""
    headers = {
        **_SAFE,
        "Content-Disposition": f'attachment; filename="{name}.log"',
        "Accept-Ranges": "bytes",
        "ETag": log.etag,
    }
    part = None
    # A mark of another text means that the log has grown since: then all of it is sent.
    if "range" in asking and asking.get("if-range", log.etag) == log.etag:
        try:
            part = whole_log.asked(asking["range"], log.length)
        except ValueError:
            return Response(status_code=416, headers={**_SAFE, "Content-Range": f"bytes */{log.length}"})
    start, end = part or (0, log.length)
    headers["Content-Length"] = str(end - start)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{log.length}"
    return StreamingResponse(
        logs.text(log, start, end),
        status_code=200 if part is None else 206,
        media_type="text/plain",
        headers=headers,
    )


async def _body(request: Request) -> bytes | None:
    """Return the request's body, None where it is longer than anything that Slack sends."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            return None
    return body


class _Server(uvicorn.Server):
    """uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.listening.set()


class WebServer:
    """A bound socket, and uvicorn on it in a thread once there is something to serve."""

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def bind(cls, host: str, port: int) -> WebServer:
        """Take the port (0: a free one) and serve nothing yet; raises `Misconfigured` where it is taken."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
            bound.listen()  # only a socket that listens keeps the port from others
        except OSError as error:
            bound.close()
            why = f"{host}:{port} cannot be listened on ({error.strerror})"
            raise Misconfigured(f"{why}: set HOURGLASS_WEB_PORT to a free one, 0 takes any.") from error
        return cls(bound)

    @property
    def url(self) -> str:
        """Return the address of the site, without a slash at its end."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def start(self, site: Starlette) -> None:
        """Serve; returns once requests are answered."""
        config = uvicorn.Config(site, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=3)
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="web")
        self._thread.start()
        if not self._server.listening.wait(START_SECONDS):
            raise Misconfigured("The web server did not start in time.")

    def stop(self) -> None:
        """Answer what is being asked, then close the socket and end the thread."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self._socket.close()
