"""The two ways to the app: Socket Mode with its tickets and connections, and HTTP with its signatures."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from slack_bolt import App
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import Clock as SignatureClock
from slack_sdk.signature import SignatureVerifier
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_socket

from bot.sandbox import ManualClock, Sandbox, SandboxError
from bot.sandbox.deliver import Envelope
from bot.sandbox.signed_http import encode, signature
from tests.sandbox.peers import listening

Connect = Callable[[App], None]


# -- Socket Mode ---------------------------------------------------------------------------------------------


def a_link(sandbox: Sandbox) -> AbstractContextManager[ClientConnection]:
    """A bare WebSocket connection, to be entered."""
    client = WebClient(base_url=sandbox.api_url)
    return connect_socket(client.apps_connections_open(app_token=sandbox.app_token)["url"])


def test_hello_comes_first_and_says_who_is_there(sandbox: Sandbox) -> None:
    with a_link(sandbox) as link:
        hello = json.loads(link.recv())
        assert (hello["type"], hello["num_connections"]) == ("hello", 1)
        assert sandbox.connections() == 1


def test_a_ticket_opens_one_connection(sandbox: Sandbox) -> None:
    client = WebClient(base_url=sandbox.api_url)
    url = client.apps_connections_open(app_token=sandbox.app_token)["url"]
    with connect_socket(url) as first:
        first.recv()
        with pytest.raises(InvalidStatus, match="403"), connect_socket(url):
            pass


def test_connections_want_the_app_token(sandbox: Sandbox) -> None:
    with pytest.raises(SlackApiError) as refused:
        WebClient(base_url=sandbox.api_url).apps_connections_open(app_token=sandbox.bot_token)
    assert refused.value.response["error"] == "not_allowed_token_type"


def test_ten_connections_stand_and_the_eleventh_is_sent_away(sandbox: Sandbox) -> None:
    with ExitStack() as stack:
        links = [stack.enter_context(a_link(sandbox)) for _ in range(11)]
        assert [json.loads(link.recv())["type"] for link in links] == ["hello"] * 10 + ["disconnect"]
        with pytest.raises(ConnectionClosed):
            links[10].recv()
        assert sandbox.connections() == 10


def test_each_envelope_goes_to_one_of_the_connections(sandbox: Sandbox) -> None:
    got: list[tuple[int, dict[str, Any]]] = []

    def serve(number: int, link: ClientConnection) -> None:
        for frame in link:
            envelope = json.loads(frame)
            got.append((number, envelope))
            link.send(json.dumps({"envelope_id": envelope["envelope_id"]}))

    with ExitStack() as stack:
        links = [stack.enter_context(a_link(sandbox)) for _ in range(2)]
        for link in links:
            link.recv()
        threads = [threading.Thread(target=serve, args=pair) for pair in enumerate(links)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            assert sandbox.people.type("ada", "#vision", "/train x").ok
    for thread in threads:
        thread.join()
    assert sorted(number for number, _ in got) == [0, 0, 1, 1]
    assert len({envelope["envelope_id"] for _, envelope in got}) == 4
    assert got[0][1]["type"] == "slash_commands" and got[0][1]["accepts_response_payload"] is True


def test_a_refresh_sends_clients_away_and_bolt_comes_back(app: App, sandbox: Sandbox, by_sockets: Connect) -> None:
    app.command("/train")(lambda ack: ack("still here"))
    by_sockets(app)
    sandbox.people.wait_for(lambda: sandbox.connections() == 1)
    sandbox.refresh_connections()
    assert sandbox.connections() == 0
    sandbox.people.wait_for(lambda: sandbox.connections() == 1)
    assert sandbox.people.type("ada", "#vision", "/train x").ok


# -- signed HTTP ---------------------------------------------------------------------------------------------


class _At(SignatureClock):
    """slack_sdk's own verifier, at the time of the sandbox's clock."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.now().timestamp()


def test_requests_are_signed_as_slack_signs_them(sandbox: Sandbox, clock: ManualClock) -> None:
    timestamp, body = str(int(clock.now().timestamp())), "command=%2Ftrain&text=x"
    signed = signature(sandbox.signing_secret, timestamp, body)
    verifier = SignatureVerifier(sandbox.signing_secret, clock=_At(clock))
    assert verifier.is_valid(body, timestamp, signed)
    assert not verifier.is_valid(body + "y", timestamp, signed)
    assert not SignatureVerifier("another secret", clock=_At(clock)).is_valid(body, timestamp, signed)
    clock.advance(timedelta(minutes=5, seconds=1).total_seconds())
    assert not verifier.is_valid(body, timestamp, signed)


def test_bolt_accepts_the_signature_and_refuses_a_wrong_one() -> None:
    with Sandbox.start() as sandbox:  # Bolt checks timestamps against the real clock
        client = WebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
        app = App(client=client, signing_secret=sandbox.signing_secret)
        app.command("/train")(lambda ack: ack("verified"))
        with listening(app) as url:
            sandbox.use_http(url)
            assert sandbox.people.type("ada", "#vision", "/train x").ok
            forged = httpx.post(url, data={"command": "/train"}, headers={"X-Slack-Signature": "v0=0"})
            assert forged.status_code == 401
    assert [one["text"] for one in sandbox.people.ephemerals("ada")] == ["verified"]


def test_a_request_url_must_answer_the_challenge(sandbox: Sandbox, client: WebClient) -> None:
    stranger = App(client=client, signing_secret="another secret")
    with listening(stranger) as url, pytest.raises(SandboxError, match="signing secret"):
        sandbox.use_http(url)
    with pytest.raises(SandboxError, match="start the app first"):
        sandbox.use_http("http://127.0.0.1:1/slack/events")


@pytest.mark.parametrize(("kind", "form"), [("slash_commands", True), ("interactive", True), ("events_api", False)])
def test_commands_and_interactions_are_forms_and_events_json(kind: Any, form: bool) -> None:
    sent_as, body = encode(Envelope(id="1", kind=kind, payload={"text": "a=b & c"}))
    fields = {key: value[0] for key, value in parse_qs(body).items()}
    read = fields if kind == "slash_commands" else json.loads(fields["payload"] if form else body)
    assert sent_as == ("application/x-www-form-urlencoded" if form else "application/json")
    assert read == {"text": "a=b & c"}


def test_an_app_that_answers_with_an_error_fails_the_command(app: App, sandbox: Sandbox) -> None:
    @app.command("/train")
    def train() -> None:
        raise ValueError("a bug in the app")

    with listening(app) as url:
        sandbox.use_http(url)
        outcome = sandbox.people.type("ada", "#vision", "/train x")
    assert outcome.said == '/train failed with the error "dispatch_failed"'
