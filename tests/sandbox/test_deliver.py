"""Deliveries: three seconds to acknowledge, retries for events only, repeats on demand, both ways."""

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
from slack_bolt import Ack, App, BoltRequest, BoltResponse
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
from tests.sandbox.peers import actions, button, listening, over_http

Connect = Callable[[App], None]


def test_a_command_reaches_the_app_complete_and_its_answer_reaches_the_person(
    app: App, sandbox: Sandbox, connect: Connect
) -> None:
    got: list[dict[str, Any]] = []

    @app.command("/train")
    def train(ack: Ack, command: dict[str, Any]) -> None:
        got.append(command)
        ack(response_type="ephemeral", text="reading it")

    connect(app)
    outcome = sandbox.people.type("ada", "#vision", "/train acme/vit@3f9c2ab  gpu=a100 & <hours=4>")
    assert (outcome.ok, outcome.error) == (True, None)
    [command] = got
    assert command["text"] == "acme/vit@3f9c2ab  gpu=a100 & <hours=4>"
    assert (command["user_id"], command["user_name"]) == (sandbox.people.user_id("ada"), "ada")
    assert (command["channel_id"], command["channel_name"]) == (sandbox.people.channel_id("#vision"), "vision")
    assert (command["team_domain"], command["is_enterprise_install"]) == ("acme", "false")
    assert command["response_url"].startswith(sandbox.url) and command["trigger_id"].count(".") == 2
    assert [one["text"] for one in sandbox.people.ephemerals("ada")] == ["reading it"]


@pytest.mark.parametrize("answer", ["plain words", {"response_type": "in_channel", "text": "plain words"}])
def test_an_acknowledgement_can_speak(
    app: App, sandbox: Sandbox, connect: Connect, answer: str | dict[str, str]
) -> None:
    app.command("/train")(lambda ack: ack(answer) if isinstance(answer, str) else ack(**answer))
    connect(app)
    assert sandbox.people.type("ada", "#vision", "/train").ok
    seen = sandbox.people.ephemerals("ada") if isinstance(answer, str) else sandbox.people.messages("#vision")
    assert [one["text"] for one in seen] == ["plain words"]


@pytest.mark.parametrize(("seconds", "ok"), [(2.9, True), (3.1, False)])
def test_an_acknowledgement_counts_for_three_seconds(
    app: App, sandbox: Sandbox, clock: ManualClock, connect: Connect, seconds: float, ok: bool
) -> None:
    @app.command("/train")
    def train(ack: Ack) -> None:
        clock.advance(seconds)
        ack("here")

    connect(app)
    outcome = sandbox.people.type("ada", "#vision", "/train")
    assert outcome.ok is ok
    [told] = [one["text"] for one in sandbox.people.ephemerals("ada")]
    assert told == ("here" if ok else '/train failed with the error "operation_timeout"')
    assert len(sandbox.people.deliveries()) == 1  # a command is never sent again by itself


def test_a_button_that_nobody_acknowledges_fails_for_the_person(
    app: App, sandbox: Sandbox, client: WebClient, clock: ManualClock, connect: Connect
) -> None:
    app.action("go")(lambda: clock.advance(3.1))
    connect(app)
    posted = client.chat_postMessage(channel="#vision", text="card", blocks=[actions(button())])
    outcome = sandbox.people.press("ada", "#vision", posted["ts"], "go")
    assert (outcome.ok, outcome.error) == (False, "operation_timeout")


def test_without_an_app_the_person_is_told_so(sandbox: Sandbox) -> None:
    outcome = sandbox.people.type("ada", "#vision", "/train x")
    assert outcome.error == "app_did_not_respond"
    assert outcome.said == "/train failed because the app did not respond"
    assert [one["user"] for one in sandbox.people.ephemerals("ada")] == ["USLACKBOT"]


def test_a_press_carries_everything_an_app_may_look_at(
    app: App, sandbox: Sandbox, client: WebClient, connect: Connect
) -> None:
    got: list[dict[str, Any]] = []

    @app.action("go")
    def go(ack: Ack, body: dict[str, Any]) -> None:
        got.append(body)
        ack()

    connect(app)
    parent = client.chat_postMessage(channel="#vision", text="parent")
    blocks = [actions(button(value="j-1")), actions(button(value="j-2"), block_id="second")]
    posted = client.chat_postMessage(channel="#vision", text="card", thread_ts=parent["ts"], blocks=blocks)
    assert sandbox.people.press("lea", "#vision", posted["ts"], "go", value="j-2").ok
    [body] = got
    [action] = body["actions"]
    assert (action["value"], action["block_id"], action["type"]) == ("j-2", "second", "button")
    assert float(action["action_ts"]) > float(posted["ts"])
    assert body["user"]["id"] == sandbox.people.user_id("lea")
    assert body["container"] == {
        "type": "message",
        "message_ts": posted["ts"],
        "channel_id": posted["channel"],
        "is_ephemeral": False,
        "thread_ts": parent["ts"],
    }
    assert (body["message"]["ts"], body["message"]["text"]) == (posted["ts"], "card")
    assert body["state"] == {"values": {}}
    assert body["trigger_id"] and body["response_url"] and body["team"]["domain"] == "acme"


def test_a_mention_comes_as_an_event_with_its_thread(app: App, sandbox: Sandbox, connect: Connect) -> None:
    got: list[dict[str, Any]] = []
    app.event("message")(lambda event: got.append(event))
    app.event("app_mention")(lambda event: got.append(event))
    connect(app)
    parent = sandbox.people.type("tam", "#vision", "how is it going?")
    sandbox.people.type("ada", "#vision", "@hourglass status of #nlp & co", thread_ts=parent.ts)
    sandbox.people.settle()
    [mention] = [one for one in got if one["type"] == "app_mention"]
    bot, nlp = sandbox.people.user_id("hourglass"), sandbox.people.channel_id("#nlp")
    assert mention["text"] == f"<@{bot}> status of <#{nlp}|nlp> &amp; co"
    assert mention["thread_ts"] == parent.ts
    assert sorted(one["channel_type"] for one in got if one["type"] == "message") == ["channel", "channel"]


def test_an_event_is_retried_three_times_and_says_so(
    app: App, sandbox: Sandbox, clock: ManualClock, connect: Connect
) -> None:
    attempts: list[tuple[str, str]] = []
    arrived = threading.Condition()

    @app.middleware
    def too_slow(request: BoltRequest, body: dict[str, Any]) -> None:
        clock.advance(3.1)
        with arrived:
            attempts.append((body["event_id"], request.headers.get("x-slack-retry-num", ["0"])[0]))
            arrived.notify_all()

    def wait_for_attempt(number: int) -> None:
        with arrived:
            assert arrived.wait_for(lambda: len(attempts) >= number, timeout=10)
        sandbox.people.settle()

    connect(app)
    sandbox.people.type("ada", "@hourglass", "hello")
    wait_for_attempt(2)  # the first retry comes at once
    clock.advance(60)
    wait_for_attempt(3)
    clock.advance(299)
    assert len(attempts) == 3
    clock.advance(1)
    wait_for_attempt(4)
    clock.advance(10_000)
    sandbox.people.settle()
    [delivery] = sandbox.people.deliveries()
    assert attempts == [(delivery.payload["event_id"], retry) for retry in ("0", "1", "2", "3")]
    assert (delivery.attempts, delivery.acknowledged) == (4, False)


def test_an_app_can_ask_for_no_retries(app: App, sandbox: Sandbox, clock: ManualClock) -> None:
    app.use(lambda: BoltResponse(status=500, headers={"X-Slack-No-Retry": ["1"]}))
    with over_http(sandbox, app):
        sandbox.people.type("ada", "@hourglass", "hello")
        sandbox.people.settle()
        clock.advance(10_000)
        sandbox.people.settle()
    assert [one.attempts for one in sandbox.people.deliveries()] == [1]


def test_a_second_delivery_is_the_same_delivery(app: App, sandbox: Sandbox, connect: Connect) -> None:
    triggers: list[str] = []

    @app.command("/train")
    def train(ack: Ack, command: dict[str, Any]) -> None:
        triggers.append(command["trigger_id"])
        ack(f"answer {len(triggers)}")

    connect(app)
    sandbox.people.type("ada", "#vision", "/train x")
    again = sandbox.people.redeliver()
    assert again.ok and len(set(triggers)) == 1 and len(triggers) == 2
    [delivery] = sandbox.people.deliveries()
    assert (delivery.attempts, again.delivery_id) == (2, delivery.id)
    assert [one["text"] for one in sandbox.people.ephemerals("ada")] == ["answer 1", "answer 2"]


def test_an_older_delivery_can_be_repeated_by_its_id(
    app: App, sandbox: Sandbox, client: WebClient, connect: Connect
) -> None:
    pressed: list[str] = []

    @app.action("go")
    def go(ack: Ack, action: dict[str, Any]) -> None:
        pressed.append(action["action_ts"])
        ack()

    app.command("/train")(lambda ack: ack())
    connect(app)
    posted = client.chat_postMessage(channel="#vision", text="card", blocks=[actions(button())])
    press = sandbox.people.press("ada", "#vision", posted["ts"], "go")
    sandbox.people.type("ada", "#vision", "/train x")
    assert sandbox.people.redeliver(press.delivery_id).ok
    assert len(pressed) == 2 and len(set(pressed)) == 1


def test_a_repeated_event_says_that_it_is_one(app: App, sandbox: Sandbox, connect: Connect) -> None:
    retries: list[str] = []

    @app.event("app_mention")
    def mention(request: BoltRequest) -> None:
        retries.append(request.headers.get("x-slack-retry-num", ["0"])[0])

    app.event("message")(lambda: None)
    connect(app)
    sandbox.people.type("ada", "#vision", "@hourglass hello")
    sandbox.people.settle()
    mention_id = next(one.id for one in sandbox.people.deliveries() if one.payload["event"]["type"] == "app_mention")
    assert sandbox.people.redeliver(mention_id).ok
    assert retries == ["0", "1"]


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
