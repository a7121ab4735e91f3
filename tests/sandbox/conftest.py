"""Fixtures: a sandbox on a clock that the test moves, the real slack_sdk client, real Bolt apps behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from slack_bolt import App
from slack_sdk import WebClient

from bot.sandbox import ManualClock, Sandbox
from tests.sandbox.peers import over_http, over_sockets

START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def sandbox(clock: ManualClock) -> Iterator[Sandbox]:
    with Sandbox.start(clock=clock) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> WebClient:
    return WebClient(token=sandbox.bot_token, base_url=sandbox.api_url)


@pytest.fixture
def app(client: WebClient) -> App:
    """A Bolt app without listeners; signatures are off because the clock stands still (test_deliver has them on)."""
    return App(client=client, signing_secret="unused", request_verification_enabled=False)


@pytest.fixture(params=["sockets", "http"])
def connect(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Callable[[App], None]]:
    """Connects an app both ways in turn: over Socket Mode and over HTTP."""
    with ExitStack() as stack:
        way = over_sockets if request.param == "sockets" else over_http
        yield lambda app: stack.enter_context(way(sandbox, app))


@pytest.fixture
def by_sockets(sandbox: Sandbox) -> Iterator[Callable[[App], None]]:
    """Connects an app over Socket Mode."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(over_sockets(sandbox, app))
