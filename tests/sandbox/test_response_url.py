"""response_urls: five uses, thirty minutes, and what each of their answers does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from slack_bolt import App
from slack_sdk import WebClient
from slack_sdk.webhook import WebhookClient

from bot.sandbox import ManualClock, Sandbox
from tests.sandbox.peers import actions, button

Connect = Callable[[App], None]


@pytest.fixture
def command_url(sandbox: Sandbox) -> str:
    """The response_url of a typed command (nobody acknowledges it, the URL is as good)."""
    sandbox.people.type("ada", "#vision", "/train")
    return str(sandbox.people.deliveries()[-1].payload["response_url"])


def heard(sandbox: Sandbox) -> list[str]:
    """What the app told Ada in private, without Slack's own words."""
    return [one["text"] for one in sandbox.people.ephemerals("ada") if one.get("bot_id")]


def test_it_is_good_for_five_answers(command_url: str, sandbox: Sandbox) -> None:
    webhook = WebhookClient(command_url)
    answers = [webhook.send(text=f"answer {n}") for n in range(6)]
    assert [one.status_code for one in answers] == [200] * 5 + [404]
    assert answers[0].body == "ok"
    assert answers[5].body == '{"ok":false,"error":"used_url"}'
    assert heard(sandbox) == [f"answer {n}" for n in range(5)]


def test_it_expires_after_thirty_minutes(command_url: str, sandbox: Sandbox, clock: ManualClock) -> None:
    clock.advance(30 * 60)
    assert WebhookClient(command_url).send(text="just in time").status_code == 200
    clock.advance(1)
    late = WebhookClient(command_url).send(text="late")
    assert (late.status_code, late.body) == (404, '{"ok":false,"error":"expired_url"}')
    assert heard(sandbox) == ["just in time"]


def test_it_answers_in_private_unless_it_says_in_channel(command_url: str, sandbox: Sandbox) -> None:
    webhook = WebhookClient(command_url)
    webhook.send(text="for Ada")
    webhook.send(text="for all", response_type="in_channel")
    assert heard(sandbox) == ["for Ada"]
    assert [one["text"] for one in sandbox.people.messages("#vision")] == ["for all"]


def test_it_is_as_strict_about_blocks_as_a_message_is(command_url: str) -> None:
    refused = WebhookClient(command_url).send(text="x", blocks=[{"type": "carousel"}])
    assert (refused.status_code, refused.body) == (400, '{"ok":false,"error":"invalid_blocks"}')


def test_an_unknown_one_answers_nothing(sandbox: Sandbox) -> None:
    answer = WebhookClient(f"{sandbox.url}commands/T1/2/abc").send(text="x")
    assert answer.status_code == 404


@pytest.fixture
def pressed(sandbox: Sandbox, client: WebClient) -> dict[str, Any]:
    """The payload of a press on a message that everybody sees."""
    posted = client.chat_postMessage(channel="#vision", text="card", blocks=[actions(button())])
    sandbox.people.press("ada", "#vision", posted["ts"], "go")
    payload: dict[str, Any] = sandbox.people.deliveries()[-1].payload
    return payload


def test_a_press_can_replace_the_message_it_was_on(pressed: dict[str, Any], sandbox: Sandbox) -> None:
    WebhookClient(pressed["response_url"]).send(text="decided", replace_original=True)
    [card] = sandbox.people.messages("#vision")
    assert (card["ts"], card["text"]) == (pressed["message"]["ts"], "decided")
    assert "blocks" not in card


def test_a_press_can_delete_the_message_it_was_on(pressed: dict[str, Any], sandbox: Sandbox) -> None:
    WebhookClient(pressed["response_url"]).send(delete_original=True)
    assert sandbox.people.messages("#vision") == []


def test_an_ephemeral_message_is_replaced_by_its_response_url_alone(
    sandbox: Sandbox, client: WebClient, command_url: str
) -> None:
    WebhookClient(command_url).send(text="sure?", blocks=[actions(button())])
    [asked] = [one for one in sandbox.people.ephemerals("ada") if one.get("bot_id")]
    sandbox.people.press("ada", "#vision", asked["ts"], "go")
    payload = sandbox.people.deliveries()[-1].payload
    assert payload["container"]["is_ephemeral"] and "message" not in payload
    WebhookClient(payload["response_url"]).send(text="done", replace_original=True)
    assert heard(sandbox) == ["done"]


def test_there_is_nothing_to_replace_after_a_command(command_url: str) -> None:
    answer = WebhookClient(command_url).send(text="x", replace_original=True)
    assert (answer.status_code, answer.body) == (400, '{"ok":false,"error":"message_not_found"}')
