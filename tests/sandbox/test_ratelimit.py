"""Rate limits: refused with 429 and Retry-After, and exactly that long."""

from __future__ import annotations

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler

from bot.sandbox import ManualClock, Sandbox
from bot.sandbox.methods_chat import POST_RATE
from bot.sandbox.ratelimit import TIER_2, RateLimiter


def retry_after(refused: pytest.ExceptionInfo[SlackApiError]) -> int:
    response = refused.value.response
    assert (response.status_code, response["error"]) == (429, "ratelimited")
    return int(response.headers["Retry-After"])


def test_one_message_a_second_in_a_channel_after_a_short_burst(client: WebClient, clock: ManualClock) -> None:
    for n in range(POST_RATE.burst):
        client.chat_postMessage(channel="#vision", text=f"burst {n}")
    with pytest.raises(SlackApiError) as refused:
        client.chat_postMessage(channel="#vision", text="too early")
    wait = retry_after(refused)
    assert wait == 1
    assert client.chat_postMessage(channel="#nlp", text="another channel")["ok"]
    clock.advance(wait)
    assert client.chat_postMessage(channel="#vision", text="in time")["ok"]
    with pytest.raises(SlackApiError):
        client.chat_postMessage(channel="#vision", text="again too early")


def test_a_refused_call_changes_nothing(client: WebClient, sandbox: Sandbox) -> None:
    for n in range(POST_RATE.burst):
        client.chat_postMessage(channel="#vision", text=f"burst {n}")
    for _ in range(3):
        with pytest.raises(SlackApiError):
            client.chat_postMessage(channel="#vision", text="too early")
    assert len(sandbox.people.messages("#vision")) == POST_RATE.burst


def test_user_groups_can_be_read_twenty_times_a_minute(client: WebClient, sandbox: Sandbox, clock: ManualClock) -> None:
    group = client.usergroups_list()["usergroups"][0]["id"]
    for _ in range(20):
        client.usergroups_users_list(usergroup=group)
    with pytest.raises(SlackApiError) as refused:
        client.usergroups_users_list(usergroup=group)
    assert retry_after(refused) == 3
    clock.advance(3)
    assert client.usergroups_users_list(usergroup=group)["ok"]


def test_messages_can_be_edited_fifty_times_a_minute(client: WebClient) -> None:
    posted = client.chat_postMessage(channel="#vision", text="0")
    for n in range(50):
        client.chat_update(channel=posted["channel"], ts=posted["ts"], text=str(n))
    with pytest.raises(SlackApiError) as refused:
        client.chat_update(channel=posted["channel"], ts=posted["ts"], text="50")
    assert retry_after(refused) == 2


def test_the_sdks_own_handler_waits_as_long_as_it_is_told() -> None:
    with Sandbox.start() as sandbox:  # the handler sleeps for real, so the clock is the real one
        client = WebClient(
            token=sandbox.bot_token, base_url=sandbox.api_url, retry_handlers=[RateLimitErrorRetryHandler()]
        )
        for n in range(POST_RATE.burst + 1):
            assert client.chat_postMessage(channel="#vision", text=str(n))["ok"]


def test_the_refusal_on_the_wire(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {sandbox.bot_token}"}
    for _ in range(POST_RATE.burst + 1):
        answer = httpx.post(
            f"{sandbox.api_url}chat.postMessage", headers=headers, json={"channel": "#vision", "text": "x"}
        )
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json() == {"ok": False, "error": "ratelimited"}


def test_a_bucket_never_holds_more_than_its_burst(clock: ManualClock) -> None:
    limiter = RateLimiter(clock)
    clock.advance(10_000)
    waits = [limiter.take("k", TIER_2) for _ in range(TIER_2.burst + 1)]
    assert waits == [0] * TIER_2.burst + [3]
