"""What the page asks of the server: the state as one person sees it, its changes as they come, and acting.

Whoever can reach these endpoints can act as anybody, so they answer this machine's own page only: the Host header
must name this server (a foreign name that resolves to 127.0.0.1 does not), an Origin must be this page's, and
whatever acts must be JSON, which a foreign page cannot send without asking first.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bot.sandbox.outcome import Outcome
from bot.sandbox.people import People
from bot.sandbox.picture import change_json, snapshot
from bot.sandbox.records import Json, PersonError, SlackError
from bot.sandbox.state import State
from bot.sandbox.wire import IMAGES

_PAGE = Path(__file__).parent / "page"
HEARTBEAT_S = 15.0
_SECURITY = {
    # Pictures may come from anywhere a message points to; scripts and styles only from here.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' https: http:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Handler = Callable[[Request], Awaitable[Response]]


class PageApi:
    """The page's endpoints over one workspace."""

    def __init__(self, *, state: State, people: People, hosts: Sequence[str], connected: Callable[[], bool]) -> None:
        self._state = state
        self._people = people
        self._hosts = frozenset(hosts)
        self._connected = connected
        self._closing = False
        self._streams: set[asyncio.Event] = set()

    def routes(self) -> list[Route]:
        """Everything the page needs."""
        acts = {
            "type": self._type,
            "press": self._press,
            "choose": self._choose,
            "submit": self._submit,
            "close": self._close_view,
            "redeliver": self._redeliver,
        }
        return [
            Route("/", self._guarded(self._file("index.html"))),
            *(Route(f"/page/{one.name}", self._guarded(self._file(one.name))) for one in _PAGE.iterdir()),
            Route("/page/state", self._guarded(self._snapshot)),
            Route("/page/events", self._guarded(self._events)),
            Route("/page/files/{file_id}", self._guarded(self._download)),
            *(Route(f"/page/{name}", self._guarded(self._acting(act)), methods=["POST"]) for name, act in acts.items()),
        ]

    def close(self) -> None:
        """End every open stream; called on the event loop."""
        self._closing = True
        for stream in self._streams:
            stream.set()

    # -- who may ask -------------------------------------------------------------------------------------

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            refusal = self._refusal(request)
            if refusal:
                return JSONResponse({"error": refusal}, status_code=403, headers=_SECURITY)
            response = await handler(request)
            for name, value in _SECURITY.items():
                response.headers.setdefault(name, value)
            return response

        return guarded

    def _refusal(self, request: Request) -> str | None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if host not in self._hosts:
            return f"the host {host!r} is not this sandbox's: open {self._state.base_url}/"
        if origin is not None and origin.partition("://")[2] not in self._hosts:
            return f"the origin {origin!r} may not act here: open {self._state.base_url}/"
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if request.method == "POST" and kind != "application/json":
            return "send JSON (Content-Type: application/json)"
        return None

    # -- looking -----------------------------------------------------------------------------------------

    def _file(self, name: str) -> Handler:
        async def send(request: Request) -> Response:
            return FileResponse(_PAGE / name)

        return send

    async def _snapshot(self, request: Request) -> Response:
        try:
            return JSONResponse(snapshot(self._state, request.query_params.get("as", ""), self._connected()))
        except SlackError as error:
            return JSONResponse({"error": error.code}, status_code=404)

    async def _download(self, request: Request) -> Response:
        try:
            with self._state.feed.lock:
                file = self._state.files.get(request.path_params["file_id"])
        except SlackError as error:
            return JSONResponse({"error": error.code}, status_code=404)
        safe = file.mimetype in IMAGES
        name = file.name.encode("ascii", "replace").decode().replace('"', "_").replace("\\", "_")
        return Response(
            file.content,
            media_type=file.mimetype if safe else "application/octet-stream",
            headers={"Content-Disposition": f'{"inline" if safe else "attachment"}; filename="{name}"'},
        )

    async def _events(self, request: Request) -> Response:
        try:
            user = self._state.workspace.user(request.query_params.get("as", "")).id
            after = int(request.headers.get("last-event-id") or request.query_params.get("after", "0"))
        except (SlackError, ValueError):
            return JSONResponse({"error": "give as=USER and after=NUMBER"}, status_code=400)
        return StreamingResponse(self._stream(user, after), media_type="text/event-stream")

    async def _stream(self, user: str, after: int) -> AsyncIterator[str]:
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        stop = self._state.feed.listen(lambda: loop.call_soon_threadsafe(news.set))
        self._streams.add(news)
        connected = None
        try:
            while not self._closing:
                news.clear()
                changes = self._state.feed.since(after)
                if changes is None:
                    yield "event: reload\ndata: {}\n\n"
                    return
                for change in changes:
                    after = change.seq
                    shape = change_json(self._state, change, user)
                    if shape is not None:
                        yield f"id: {after}\ndata: {json.dumps(shape)}\n\n"
                if connected != self._connected():
                    connected = self._connected()
                    yield f"event: app\ndata: {json.dumps({'connected': connected})}\n\n"
                try:
                    await asyncio.wait_for(news.wait(), HEARTBEAT_S)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            self._streams.discard(news)
            stop()

    # -- acting ------------------------------------------------------------------------------------------

    def _acting(self, act: Callable[[Json], Outcome]) -> Handler:
        async def run(request: Request) -> Response:
            try:
                body = await request.json()
                outcome = await run_in_threadpool(act, body)
            except PersonError as error:
                return JSONResponse({"ok": False, "error": "not_possible", "said": str(error)}, status_code=409)
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                return JSONResponse({"ok": False, "error": "bad_request", "said": repr(error)}, status_code=400)
            shape = {key: getattr(outcome, key) for key in ("ok", "error", "said", "ts", "errors", "delivery_id")}
            return JSONResponse(shape)

        return run

    def _type(self, body: Json) -> Outcome:
        return self._people.type(
            body["as"], body["channel"], body["text"], thread_ts=body.get("thread_ts"), phone=bool(body.get("phone"))
        )

    def _press(self, body: Json) -> Outcome:
        if body.get("view_id"):
            return self._people.press_in_view(body["as"], body["view_id"], body["action_id"], value=body.get("value"))
        return self._people.press(
            body["as"],
            body["channel"],
            body["ts"],
            body["action_id"],
            value=body.get("value"),
            block_id=body.get("block_id"),
        )

    def _choose(self, body: Json) -> Outcome:
        if body.get("view_id"):
            return self._people.choose_in_view(body["as"], body["view_id"], body["action_id"], body["choice"])
        return self._people.choose(
            body["as"], body["channel"], body["ts"], body["action_id"], body["choice"], block_id=body.get("block_id")
        )

    def _submit(self, body: Json) -> Outcome:
        return self._people.submit(body["as"], body["view_id"], body.get("values") or {})

    def _close_view(self, body: Json) -> Outcome:
        return self._people.close(body["as"], body["view_id"])

    def _redeliver(self, body: Json) -> Outcome:
        return self._people.redeliver(body.get("delivery_id"))
