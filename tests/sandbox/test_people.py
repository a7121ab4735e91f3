"""Acting as a person: what Slack would not offer is refused, what a person sees is what the app said to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from slack_bolt import Ack, App
from slack_sdk import WebClient

from bot.sandbox import AppConfig, Person, PersonError, Room, Sandbox, Seed
from bot.sandbox.compose import as_phone
from tests.sandbox.peers import actions, button, option, text_input

Connect = Callable[[App], None]


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda p: p.type("gus", "#nlp", "hello"), "gus is not in #nlp"),
        (lambda p: p.type("bob", "#nlp", "hello"), "nobody here is called 'bob'; there are ada, tam, lea, gus"),
        (lambda p: p.type("ada", "#audio", "hello"), "no channel '#audio'; there are #vision, #nlp, #random"),
        (lambda p: p.type("ada", "#vision", "  "), "nothing to send"),
        (lambda p: p.type("ada", "#vision", "x", thread_ts="1.000001"), "no thread 1.000001"),
        (lambda p: p.press("ada", "#vision", "1.000001", "go"), "ada sees no message"),
        (lambda p: p.close("ada", "V0NONE"), "ada has no open modal V0NONE"),
        (lambda p: p.redeliver(), "nothing was delivered yet"),
    ],
)
def test_what_a_person_could_not_do_is_refused_with_the_reason(
    sandbox: Sandbox, act: Callable[[Any], object], words: str
) -> None:
    with pytest.raises(PersonError, match=words):
        act(sandbox.people)


def test_a_button_that_is_gone_cannot_be_pressed(sandbox: Sandbox, client: WebClient) -> None:
    posted = client.chat_postMessage(
        channel="#vision", text="card", blocks=[actions(button("approve"), button("deny"))]
    )
    with pytest.raises(PersonError, match="no 'extend' to act on here; there is approve, deny"):
        sandbox.people.press("ada", "#vision", posted["ts"], "extend")
    client.chat_update(channel=posted["channel"], ts=posted["ts"], text="decided", blocks=[])
    with pytest.raises(PersonError, match="none at all"):
        sandbox.people.press("ada", "#vision", posted["ts"], "approve")
    assert sandbox.people.deliveries() == []


def test_choices_reach_the_app_and_stay_in_the_messages_state(
    app: App, sandbox: Sandbox, client: WebClient, by_sockets: Connect
) -> None:
    got: list[dict[str, Any]] = []
    for name in ("hours", "more", "gpus", "go"):

        @app.action(name)
        def chosen(ack: Ack, body: dict[str, Any]) -> None:
            got.append(body)
            ack()

    by_sockets(app)
    blocks = [
        actions(
            {"type": "static_select", "action_id": "hours", "options": [option("2"), option("4")]},
            {"type": "overflow", "action_id": "more", "options": [option("log"), option("copy")]},
            {"type": "checkboxes", "action_id": "gpus", "options": [option("a100"), option("h100")]},
            button("go"),
        ),
        text_input("note"),
    ]
    ts = client.chat_postMessage(channel="#vision", text="card", blocks=blocks)["ts"]
    sandbox.people.choose("ada", "#vision", ts, "hours", "4")
    sandbox.people.choose("ada", "#vision", ts, "more", "log")
    sandbox.people.choose("ada", "#vision", ts, "gpus", ["a100", "h100"])
    sandbox.people.press("ada", "#vision", ts, "go")
    sandbox.people.press("tam", "#vision", ts, "go")

    picked = [body["actions"][0] for body in got]
    assert picked[0]["selected_option"]["value"] == "4"
    assert picked[1]["selected_option"]["value"] == "log"
    assert [one["value"] for one in picked[2]["selected_options"]] == ["a100", "h100"]
    adas, tams = (body["state"]["values"]["actions"] for body in got[3:])
    assert adas["hours"]["selected_option"]["value"] == "4" and "more" not in adas
    assert tams["hours"]["selected_option"] is None
    with pytest.raises(PersonError, match="has no option '8'; it has '2', '4'"):
        sandbox.people.choose("ada", "#vision", ts, "hours", "8")
    with pytest.raises(PersonError, match="choose one of its options"):
        sandbox.people.press("ada", "#vision", ts, "hours")


def test_unknown_commands_and_commands_in_threads_are_slacks_own_business(sandbox: Sandbox, client: WebClient) -> None:
    ts = client.chat_postMessage(channel="#vision", text="parent")["ts"]
    unknown = sandbox.people.type("ada", "#vision", "/trian x")
    threaded = sandbox.people.type("ada", "#vision", "/train x", thread_ts=ts)
    assert (unknown.error, threaded.error) == ("invalid_command", "not_in_thread")
    assert "`/trian` is not a valid command" in (unknown.said or "")
    assert threaded.said == "`/train` is not supported in threads. Sorry!"
    assert sandbox.people.deliveries() == []


def test_a_bot_that_is_not_in_the_channel_hears_nothing_and_the_person_learns_why(sandbox: Sandbox) -> None:
    outcome = sandbox.people.type("ada", "#random", "@hourglass hello")
    assert outcome.ok and outcome.delivery_id is None
    [told] = sandbox.people.ephemerals("ada", "#random")
    assert "not in this channel" in told["text"]


def test_a_direct_message_to_the_bot_is_an_event_without_a_mention(sandbox: Sandbox) -> None:
    sandbox.people.type("ada", "@hourglass", "help")
    [delivery] = sandbox.people.deliveries()
    event = delivery.payload["event"]
    assert (event["type"], event["channel_type"], event["text"]) == ("message", "im", "help")
    assert [one["text"] for one in sandbox.people.dms("ada")] == ["help"]


MANIFEST = {
    "display_information": {"name": "Hourglass"},
    "features": {"slash_commands": [{"command": "/budget", "description": "Money", "should_escape": True}]},
    "oauth_config": {"scopes": {"bot": ["commands", "chat:write"]}},
    "settings": {"event_subscriptions": {"bot_events": ["app_mention"]}, "interactivity": {"is_enabled": False}},
}


def test_the_manifest_decides_what_the_app_hears() -> None:
    with Sandbox.start(app=AppConfig.from_manifest(MANIFEST, {"/budget": ["cap"]})) as sandbox:
        client = WebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
        posted = client.chat_postMessage(channel="#vision", text="card", blocks=[actions(button())])
        assert sandbox.people.press("ada", "#vision", posted["ts"], "go").error == "interactivity_off"
        assert sandbox.people.type("ada", "#vision", "/train x").error == "invalid_command"
        sandbox.people.type("ada", "#vision", "just talking")
        sandbox.people.type("ada", "#vision", "@hourglass hello")
        sandbox.people.type("ada", "#vision", "/budget cap 300 @lea #nlp")
        kinds = [one.payload.get("event", one.payload).get("type", "command") for one in sandbox.people.deliveries()]
        lea, nlp = sandbox.people.user_id("lea"), sandbox.people.channel_id("#nlp")
        assert kinds == ["app_mention", "command"]
        assert sandbox.people.deliveries()[-1].payload["text"] == f"cap 300 <@{lea}> <#{nlp}|nlp>"
        assert sandbox.app.commands[0].completions == ("cap",)


def test_another_workspace_can_be_seeded() -> None:
    seed = Seed(
        team="initech",
        people=(Person(name="bob", real_name="Bob", title="boss"),),
        rooms=(Room(name="secret", members=("bob",), private=True),),
        groups=(),
    )
    with Sandbox.start(seed=seed) as sandbox:
        client = WebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
        assert client.auth_test()["team"] == "Initech"
        assert client.conversations_list()["channels"] == []
        assert client.conversations_list(types="private_channel")["channels"][0]["name"] == "secret"
        sandbox.people.kick_bot("#secret")
        assert client.conversations_list(types="private_channel")["channels"] == []


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ('/train acme/vit reason="it\'s big"', "/train acme/vit reason=“it’s big”"),
        ("/train acme/vit -- python train.py --lr=1", "/train acme/vit — python train.py —lr=1"),
        ("/train https://github.com/acme/vit", "/train <https://github.com/acme/vit|https://github.com/acme/vit>"),
        ("/train github.com/acme/vit x", "/train <http://github.com/acme/vit|github.com/acme/vit> x"),
        ("/train acme/vit@3f9c2ab gpu=a100 hours=0.5", "/train acme/vit@3f9c2ab gpu=a100 hours=0.5"),
        ("wait...", "wait…"),
    ],
)
def test_a_phone_changes_what_is_typed(sandbox: Sandbox, typed: str, sent: str) -> None:
    assert as_phone(typed) == sent
    if typed.startswith("/"):
        sandbox.people.type("ada", "#vision", typed, phone=True)
        assert sandbox.people.deliveries()[-1].payload["text"] == sent.removeprefix("/train ")


def test_messages_become_entities_on_their_way(sandbox: Sandbox) -> None:
    ada = sandbox.people.user_id("ada")
    for typed, text in [
        ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
        ("@ada and @nobody", f"<@{ada}> and @nobody"),
        ("see https://a.example/x?y=1&z=2 now", "see <https://a.example/x?y=1&amp;z=2> now"),
        ("mail ada@acme.example", "mail ada@acme.example"),
    ]:
        ts = sandbox.people.type("tam", "#vision", typed).ts or ""
        assert sandbox.people.message("#vision", ts)["text"] == text


def test_waiting_ends_with_the_change_or_says_that_nothing_came(sandbox: Sandbox) -> None:
    sandbox.people.type("ada", "#vision", "one")
    assert len(sandbox.people.wait_for(lambda: sandbox.people.messages("#vision"))) == 1
    with pytest.raises(TimeoutError, match="nothing in the workspace fulfilled"):
        sandbox.people.wait_for(lambda: len(sandbox.people.messages("#vision")) > 1, timeout=0.01)
