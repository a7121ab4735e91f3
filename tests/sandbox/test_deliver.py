"""Deliveries: three seconds to acknowledge, retries for events only, repeats on demand, both ways."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest
from slack_bolt import Ack, App, BoltRequest, BoltResponse
from slack_sdk import WebClient

from bot.sandbox import ManualClock, Sandbox
from tests.sandbox.peers import actions, button, over_http

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
    heard: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()  # listeners run after their event was acknowledged
    app.event("message")(lambda event: heard.put(event))
    app.event("app_mention")(lambda event: heard.put(event))
    connect(app)
    parent = sandbox.people.type("tam", "#vision", "how is it going?")
    sandbox.people.type("ada", "#vision", "@hourglass status of #nlp & co", thread_ts=parent.ts)
    got = [heard.get(timeout=10) for _ in range(3)]
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
    retries: queue.SimpleQueue[str] = queue.SimpleQueue()  # a listener runs after its event was acknowledged

    @app.event("app_mention")
    def mention(request: BoltRequest) -> None:
        retries.put(request.headers.get("x-slack-retry-num", ["0"])[0])

    app.event("message")(lambda: None)
    connect(app)
    sandbox.people.type("ada", "#vision", "@hourglass hello")
    assert retries.get(timeout=10) == "0"
    sandbox.people.settle()
    mention_id = next(one.id for one in sandbox.people.deliveries() if one.payload["event"]["type"] == "app_mention")
    assert sandbox.people.redeliver(mention_id).ok
    assert retries.get(timeout=10) == "1"
