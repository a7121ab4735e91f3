"""Socket Mode, Slack's side: tickets, connections, envelopes out, acknowledgements in.

The address that apps.connections.open hands out is good for one connection. Up to ten stand at a time, each
envelope goes to one of them in turn. Everything but the bookkeeping runs on the server's event loop.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.sandbox.arguments import Arguments
from bot.sandbox.deliver import Envelope, NotConnected, Reply
from bot.sandbox.ids import Ids
from bot.sandbox.ratelimit import TIER_1, Rate
from bot.sandbox.records import Json
from bot.sandbox.state import State
from bot.sandbox.webapi import Method

CONNECTIONS = 10
# After it asked a client to leave, Slack keeps the old link open for a moment.
DRAIN_S = 10.0
# Tier 1 would be one a minute; a client that reconnects needs a few more in a row.
OPEN_RATE = Rate(burst=30, per_second=TIER_1.per_second)


@dataclass(eq=False)
class _Link:
    """One open connection."""

    socket: WebSocket
    greeted: asyncio.Event = field(default_factory=asyncio.Event)  # envelopes wait for the hello
    waiting: dict[str, Callable[[Reply], None]] = field(default_factory=dict)
    draining: bool = False


class SocketMode:
    """The transport over WebSockets."""

    timeout_reason = "timeout"

    def __init__(
        self,
        *,
        ids: Ids,
        app_id: str,
        url: str,
        loop: Callable[[], asyncio.AbstractEventLoop],
        on_change: Callable[[], None],
    ) -> None:
        self._ids = ids
        self._app_id = app_id
        self._url = url  # "ws://127.0.0.1:PORT/link/"
        self._loop = loop
        self._on_change = on_change  # called when a client came or went
        self._guard = threading.Lock()
        self._tickets: set[str] = set()
        self._links: list[_Link] = []
        self._turn = 0

    def method(self) -> Method:
        """apps.connections.open, which wants the app-level token."""

        def open_connection(state: State, args: Arguments) -> Json:
            ticket = self._ids.uuid()
            with self._guard:
                self._tickets.add(ticket)
            return {"url": f"{self._url}?ticket={ticket}&app_id={self._app_id}"}

        return Method(run=open_connection, rate=OPEN_RATE, app_token=True)

    def connections(self) -> int:
        """How many links are open and take envelopes."""
        with self._guard:
            return sum(not link.draining for link in self._links)

    def send(self, envelope: Envelope, on_reply: Callable[[Reply], None]) -> Callable[[], None]:
        """Send to one of the open links; the acknowledgement is the reply."""
        with self._guard:
            open_links = [link for link in self._links if not link.draining]
            if not open_links:
                raise NotConnected("no Socket Mode connection is open")
            self._turn += 1
            link = open_links[self._turn % len(open_links)]
            link.waiting[envelope.id] = on_reply
        frame: Json = {
            "envelope_id": envelope.id,
            "type": envelope.kind,
            "payload": envelope.payload,
            "accepts_response_payload": envelope.kind != "events_api",
        }
        if envelope.kind == "events_api":
            frame |= {"retry_attempt": envelope.retry_attempt, "retry_reason": envelope.retry_reason}
        asyncio.run_coroutine_threadsafe(_send(link, frame), self._loop())

        def stop() -> None:
            with self._guard:
                link.waiting.pop(envelope.id, None)

        return stop

    def refresh(self, reason: str) -> None:
        """Ask every client to leave and connect anew, as Slack does now and then."""
        with self._guard:
            links = [link for link in self._links if not link.draining]
            for link in links:
                link.draining = True
        for link in links:
            asyncio.run_coroutine_threadsafe(self._drain(link, reason), self._loop())

    async def serve(self, socket: WebSocket) -> None:
        """The WebSocket endpoint: one connection from its ticket to its end."""
        ticket = socket.query_params.get("ticket", "")
        with self._guard:
            welcome = ticket in self._tickets
            self._tickets.discard(ticket)
        if not welcome:
            await socket.close(code=4403, reason="this ticket was used or never issued: call apps.connections.open")
            return
        link = _Link(socket=socket)
        # Counted before the client learns that it is connected: what it does next must find its link.
        with self._guard:
            full = len(self._links) >= CONNECTIONS
            if not full:
                self._links.append(link)
            number = len(self._links)
        if full:
            await socket.accept()
            await _write(link, {"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return
        try:
            await socket.accept()
            await _write(link, self._hello(number))
            link.greeted.set()
            self._on_change()
            await self._listen(link)
        finally:
            with self._guard:
                self._links.remove(link)
            self._on_change()

    async def close(self) -> None:
        """Close every connection."""
        with self._guard:
            links = list(self._links)
        for link in links:
            await _close(link)

    def _hello(self, number: int) -> Json:
        return {
            "type": "hello",
            "num_connections": number,
            "debug_info": {"host": "sandbox", "build_number": 1, "approximate_connection_time": 18060},
            "connection_info": {"app_id": self._app_id},
        }

    async def _listen(self, link: _Link) -> None:
        while True:
            try:
                frame = json.loads(await link.socket.receive_text())
            except WebSocketDisconnect:
                return
            except ValueError:
                continue  # Slack ignores what is no JSON, and so do we
            if not isinstance(frame, dict):
                continue
            with self._guard:
                on_reply = link.waiting.pop(str(frame.get("envelope_id")), None)
            if on_reply is not None:
                payload = frame.get("payload")
                on_reply(Reply(payload=payload if isinstance(payload, dict) else None))

    async def _drain(self, link: _Link, reason: str) -> None:
        await _send(link, {"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}})
        loop = asyncio.get_running_loop()
        loop.call_later(DRAIN_S, lambda: loop.create_task(_close(link)))


async def _send(link: _Link, frame: Json) -> None:
    await link.greeted.wait()
    await _write(link, frame)


async def _write(link: _Link, frame: Json) -> None:
    try:
        await link.socket.send_text(json.dumps(frame))
    except (WebSocketDisconnect, RuntimeError):
        # The client left in this moment: nobody acknowledges, and the sender's three seconds tell.
        return


async def _close(link: _Link) -> None:
    try:
        await link.socket.close(code=1000)
    except (WebSocketDisconnect, RuntimeError):
        return  # it was closed already
