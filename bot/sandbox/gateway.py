"""The side that faces the app: Web API calls, uploads, private files, response_urls, Socket Mode."""

from __future__ import annotations

import hmac
import json

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from bot.sandbox.records import SlackError
from bot.sandbox.sockets import SocketMode
from bot.sandbox.state import State
from bot.sandbox.webapi import WebApi


def gateway_routes(*, state: State, api: WebApi, sockets: SocketMode, bot_token: str) -> list[BaseRoute]:
    """Everything an app talks to."""

    async def call(request: Request) -> Response:
        answer = api.call(
            request.path_params["method"],
            request.headers.get("authorization", ""),
            request.headers.get("content-type", ""),
            await request.body(),
            request.url.query,
        )
        return JSONResponse(answer.body, status_code=answer.status, headers=dict(answer.headers))

    async def upload(request: Request) -> Response:
        if request.headers.get("content-type", "").startswith("multipart/"):
            return PlainTextResponse("send the file's bytes as the body, not as a form", status_code=415)
        content = await request.body()
        try:
            with state.feed.lock:
                file = state.files.upload(request.path_params["secret"], content)
        except SlackError as error:
            return PlainTextResponse(error.code, status_code=400)
        return PlainTextResponse(f"OK - {file.size}")

    async def private(request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(token.encode(), bot_token.encode()):
            # Slack sends whoever has no token to its login page, with a redirect that looks like success.
            return RedirectResponse(f"{state.base_url}/", status_code=302)
        try:
            with state.feed.lock:
                file = state.files.get(request.path_params["place"].rpartition("-")[2])
        except SlackError:
            return PlainTextResponse("not found", status_code=404)
        return Response(file.content, media_type=file.mimetype)

    async def respond(request: Request) -> Response:
        try:
            payload = json.loads(await request.body())
        except ValueError:
            return PlainTextResponse("invalid_payload", status_code=400)
        if not isinstance(payload, dict):
            return PlainTextResponse("invalid_payload", status_code=400)
        try:
            with state.feed.lock:
                state.response_urls.use(request.path_params["path"], payload)
        except SlackError as error:
            gone = error.code in ("used_url", "expired_url", "no_such_url")
            return JSONResponse({"ok": False, "error": error.code}, status_code=404 if gone else 400)
        return PlainTextResponse("ok")

    return [
        Route("/api/{method}", call, methods=["GET", "POST"]),
        Route("/upload/v1/{secret}", upload, methods=["POST"]),
        Route("/files-pri/download/{place}/{name}", private),
        Route("/files-pri/{place}/{name}", private),
        Route("/commands/{path:path}", respond, methods=["POST"]),
        WebSocketRoute("/link/", sockets.serve),
    ]
