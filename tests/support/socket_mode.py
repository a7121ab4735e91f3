"""Connecting an app to a workspace over Socket Mode, and ending that without the waits of slack_sdk's client."""

from __future__ import annotations

import ssl

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from bot.sandbox import Sandbox

# The client loads every authority that the system trusts for each connection, encrypted or not; these are not.
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def connect(app: App, sandbox: Sandbox) -> SocketModeHandler:
    """Connect the app's listeners with slack_sdk's built-in client; end it with `hang_up`."""
    client = WebClient(base_url=sandbox.api_url, ssl=_NO_AUTHORITIES)
    handler = SocketModeHandler(app, sandbox.app_token, web_client=client)
    handler.connect()  # type: ignore[no-untyped-call]  # Bolt's handler ships without annotations here
    return handler


def hang_up(handler: SocketModeHandler, sandbox: Sandbox) -> None:
    """Close the workspace and the app's end of the connection.

    The client's receiving thread waits up to three seconds for data: a close from the other side wakes it at once.
    Its processing thread waits a second for the next message: one that says nothing wakes that.
    """
    handler.client.closed = True
    handler.client.auto_reconnect_enabled = False
    sandbox.close()
    handler.client.message_queue.put(None)
    handler.close()  # type: ignore[no-untyped-call]  # as above
