"""Real Bolt apps at the other end: Bolt's own Socket Mode handler, Bolt's own WSGI adapter in a WSGI server."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from slack_bolt import App
from slack_bolt.adapter.wsgi import SlackRequestHandler

from bot.sandbox import Sandbox
from tests.support.socket_mode import connect, hang_up


@contextmanager
def over_sockets(sandbox: Sandbox, app: App) -> Iterator[None]:
    """The app, connected with slack_sdk's built-in Socket Mode client."""
    handler = connect(app, sandbox)
    try:
        yield
    finally:
        hang_up(handler, sandbox)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""


@contextmanager
def over_http(sandbox: Sandbox, app: App) -> Iterator[None]:
    """The app as an HTTP server that the sandbox signs its requests for."""
    with listening(app) as url:
        sandbox.use_http(url)
        yield


@contextmanager
def listening(app: App) -> Iterator[str]:
    """Bolt's WSGI adapter behind a server; yields the request URL."""
    server = make_server("127.0.0.1", 0, SlackRequestHandler(app), handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/slack/events"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def plain(text: str) -> dict[str, Any]:
    """A plain_text object."""
    return {"type": "plain_text", "text": text}


def button(action_id: str = "go", **changes: Any) -> dict[str, Any]:
    """A button."""
    return {"type": "button", "action_id": action_id, "text": plain("Go"), **changes}


def actions(*elements: dict[str, Any], block_id: str = "actions") -> dict[str, Any]:
    """An actions block."""
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def option(value: str) -> dict[str, Any]:
    """An option whose text is its value."""
    return {"text": plain(value), "value": value}


def text_input(block_id: str = "why", **changes: Any) -> dict[str, Any]:
    """An input block for text."""
    element = {"type": "plain_text_input", "action_id": "typed"}
    return {"type": "input", "block_id": block_id, "label": plain("Why"), "element": element, **changes}


def modal(blocks: Sequence[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """A modal that can be submitted."""
    return {
        "type": "modal",
        "callback_id": "form",
        "title": plain("A form"),
        "submit": plain("Send"),
        "blocks": list(blocks or [text_input()]),
        **changes,
    }
