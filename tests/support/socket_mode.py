"""Ending a connection over Socket Mode without the waits that slack_sdk's client makes while it closes."""

from __future__ import annotations

from slack_bolt.adapter.socket_mode import SocketModeHandler

from bot.sandbox import Sandbox


def hang_up(handler: SocketModeHandler, sandbox: Sandbox) -> None:
    """Close the workspace and the app's end of the connection.

    The client's receiving thread waits up to three seconds for data: a close from the other side wakes it at once.
    Its processing thread waits a second for the next message: one that says nothing wakes that.
    """
    handler.client.closed = True
    handler.client.auto_reconnect_enabled = False
    sandbox.close()
    handler.client.message_queue.put(None)
    handler.close()  # type: ignore[no-untyped-call]  # Bolt's handler ships without annotations here
