"""A sandbox that runs: the workspace behind one HTTP server in a thread of its own.

    with Sandbox.start() as sandbox:
        app = App(token=sandbox.bot_token, client=WebClient(token=sandbox.bot_token, base_url=sandbox.api_url))

It listens on 127.0.0.1 unless it is told otherwise. Tokens and the signing secret are new for each run unless given.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import uvicorn
from starlette.applications import Starlette

from bot.sandbox import methods_chat, methods_conversations, methods_files, methods_people, methods_views
from bot.sandbox.clock import Clock, SystemClock
from bot.sandbox.config import AppConfig
from bot.sandbox.deliver import Courier
from bot.sandbox.gateway import gateway_routes
from bot.sandbox.ids import Ids
from bot.sandbox.page_api import PageApi
from bot.sandbox.people import People
from bot.sandbox.records import Change, SandboxError
from bot.sandbox.seed import Seed
from bot.sandbox.signed_http import SignedHttp
from bot.sandbox.sockets import SocketMode
from bot.sandbox.state import State
from bot.sandbox.webapi import WebApi

# Open streams are told to end before; this only bounds a client that does not read.
SHUTDOWN_S = 2


class _Server(uvicorn.Server):
    """uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class Sandbox:
    """A local Slack workspace; make one with `Sandbox.start`, end it with `close` or a `with` block."""

    def __init__(
        self,
        *,
        listener: socket.socket,
        state: State,
        bot_token: str,
        app_token: str,
        signing_secret: str,
        hosts: Sequence[str],
    ) -> None:
        self.app = state.app
        self.bot_token = bot_token
        self.app_token = app_token
        self.signing_secret = signing_secret
        self.url = f"{state.base_url}/"
        self.api_url = f"{state.base_url}/api/"
        self._state = state
        self._listener = listener
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: SignedHttp | None = None
        self._sockets = SocketMode(
            ids=state.ids,
            app_id=state.workspace.app_id,
            url=state.base_url.replace("http://", "ws://") + "/link/",
            loop=self._running_loop,
            on_change=self._app_came_or_went,
        )
        self._courier = Courier(clock=state.clock, ids=state.ids, transport=self._sockets)
        self.people = People(state, self._courier)
        self._page = PageApi(
            state=state, people=self.people, hosts=hosts, connected=lambda: bool(self._http or self.connections())
        )
        self._server = _Server(self._config())
        self._thread = threading.Thread(target=self._serve, name="sandbox-server")
        self._closed = False

    @classmethod
    def start(
        cls,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        app: AppConfig | None = None,
        seed: Seed | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        bot_token: str | None = None,
        app_token: str | None = None,
        signing_secret: str | None = None,
        allowed_hosts: Sequence[str] = (),
    ) -> Self:
        """Start a workspace on a port (0: any free one) and return when it listens.

        `allowed_hosts` are further Host headers ("gpu.example:8080") under which the page may be opened.
        Raises SandboxError when the port is taken.
        """
        made = ids or Ids()
        listener = _listen(host, port)
        port = int(listener.getsockname()[1])
        state = State.build(
            app=app or AppConfig(),
            seed=seed or Seed(),
            clock=clock or SystemClock(),
            ids=made,
            base_url=f"http://127.0.0.1:{port}",
        )
        sandbox = cls(
            listener=listener,
            state=state,
            bot_token=bot_token or f"xoxb-{made.number(12)}-{made.number(13)}-{made.secret(24)}",
            app_token=app_token or f"xapp-1-{state.workspace.app_id}-{made.number(13)}-{made.secret(64)}",
            signing_secret=signing_secret or made.secret(32),
            hosts=(f"127.0.0.1:{port}", f"localhost:{port}", *allowed_hosts),
        )
        sandbox._thread.start()
        sandbox._server.listening.wait()
        return sandbox

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def page_url(self, user: str, channel: str | None = None, thread: str | None = None) -> str:
        """The page's address for acting as this person, in that channel and thread."""
        query = {"as": user.lstrip("@")}
        if channel is not None:
            query["channel"] = self.people.channel_id(channel)
        if thread is not None:
            query["thread"] = thread
        return f"{self.url}?{urlencode(query)}"

    def use_http(self, request_url: str) -> None:
        """Deliver by signed HTTP to this URL from now on; it must answer Slack's challenge first."""
        transport = SignedHttp(
            url=request_url, secret=self.signing_secret, clock=self._state.clock, loop=self._running_loop
        )
        try:
            transport.verify(self._state.ids.secret(40))
        except SandboxError:
            self._on_loop(transport.close())
            raise
        self.use_socket_mode()
        self._http = transport
        self._courier.transport = transport
        self._app_came_or_went()

    def use_socket_mode(self) -> None:
        """Deliver over Socket Mode, as at the start."""
        self._courier.transport = self._sockets
        if self._http is not None:
            self._on_loop(self._http.close())
            self._http = None

    def connections(self) -> int:
        """How many Socket Mode connections are open."""
        return self._sockets.connections()

    def refresh_connections(self, reason: str = "refresh_requested") -> None:
        """Ask every connected client to connect anew."""
        self._sockets.refresh(reason)

    def close(self) -> None:
        """End every connection and thread; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._courier.close()
        self.use_socket_mode()
        self._running_loop().call_soon_threadsafe(self._page.close)
        self._on_loop(self._sockets.close())
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def _app_came_or_went(self) -> None:
        self._state.feed.publish(Change(seq=0, kind="app"))

    def _config(self) -> uvicorn.Config:
        methods = {
            **methods_chat.METHODS,
            **methods_conversations.METHODS,
            **methods_files.METHODS,
            **methods_people.METHODS,
            **methods_views.METHODS,
            "apps.connections.open": self._sockets.method(),
        }
        api = WebApi(
            self._state,
            bot_token=self.bot_token,
            app_token=self.app_token,
            methods=methods,
            request_id=lambda: self._state.ids.secret(32),
        )
        routes = [
            *gateway_routes(state=self._state, api=api, sockets=self._sockets, bot_token=self.bot_token),
            *self._page.routes(),
        ]
        return uvicorn.Config(
            Starlette(routes=routes),
            ws="websockets-sansio",  # the older implementation warns that it is going away
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )

    def _serve(self) -> None:
        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            await self._server.serve(sockets=[self._listener])

        asyncio.run(run())

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise SandboxError("the sandbox is not running: make it with Sandbox.start()")
        return self._loop

    def _on_loop(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._running_loop()).result()


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SandboxError(f"port {port} on {host} cannot be used ({error.strerror}): give another port") from error
    return listener
