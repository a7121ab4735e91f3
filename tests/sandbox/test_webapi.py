"""The Web API as slack_sdk sees it: messages, threads, metadata, people, and Slack's error codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.sandbox import AppConfig, ManualClock, Sandbox
from tests.sandbox.peers import actions, button

Call = Callable[[WebClient], object]


def error_of(call: Callable[[], object]) -> str:
    with pytest.raises(SlackApiError) as refused:
        call()
    return str(refused.value.response["error"])


def test_a_posted_message_is_there_for_people_and_for_the_app(sandbox: Sandbox, client: WebClient) -> None:
    posted = client.chat_postMessage(channel="#vision", text="hello", blocks=[actions(button(value="7"))])
    [seen] = sandbox.people.messages("#vision")
    [read] = client.conversations_history(channel=posted["channel"])["messages"]
    assert posted["message"] == seen == read
    assert seen["bot_id"] and seen["blocks"][0]["elements"][0]["value"] == "7"


def test_timestamps_strictly_increase_while_the_clock_stands_still(sandbox: Sandbox) -> None:
    stamps = [sandbox.people.type("ada", "#vision", f"line {n}").ts or "" for n in range(5)]
    assert stamps == sorted(set(stamps))


def test_metadata_makes_the_round_trip_and_survives_an_edit(client: WebClient, sandbox: Sandbox) -> None:
    metadata = {"event_type": "job_posted", "event_payload": {"job": "j-17", "attempt": 2}}
    posted = client.chat_postMessage(channel="#vision", text="card", metadata=metadata)
    channel, ts = posted["channel"], posted["ts"]
    client.chat_update(channel=channel, ts=ts, text="card, newer")
    client.chat_postMessage(channel=channel, thread_ts=ts, text="reply", metadata=metadata)

    bare = client.conversations_history(channel=channel)["messages"][0]
    full = client.conversations_history(channel=channel, include_all_metadata=True)["messages"][0]
    thread = client.conversations_replies(channel=channel, ts=ts, include_all_metadata=True)["messages"]
    assert "metadata" not in bare
    assert full["metadata"] == metadata
    assert [one["metadata"] for one in thread] == [metadata, metadata]

    client.chat_update(channel=channel, ts=ts, text="card", metadata={})
    cleared = client.conversations_history(channel=channel, include_all_metadata=True)["messages"][0]
    assert "metadata" not in cleared


def test_an_edit_keeps_what_it_does_not_name_and_says_that_it_was_one(client: WebClient, sandbox: Sandbox) -> None:
    posted = client.chat_postMessage(channel="#vision", text="card", blocks=[actions(button())])
    where = {"channel": posted["channel"], "ts": posted["ts"]}
    client.chat_update(**where, text="other words")
    kept = sandbox.people.message("#vision", posted["ts"])
    client.chat_update(**where, text="no buttons", blocks=[])
    stripped = sandbox.people.message("#vision", posted["ts"])
    assert (kept["text"], len(kept["blocks"])) == ("other words", 1)
    assert "blocks" not in stripped and stripped["edited"]["ts"] > kept["edited"]["ts"]


def test_replies_hang_on_their_parent_and_come_after_it(client: WebClient, sandbox: Sandbox) -> None:
    parent = client.chat_postMessage(channel="#vision", text="parent")
    channel, ts = parent["channel"], parent["ts"]
    for text in ("one", "two"):
        client.chat_postMessage(channel=channel, thread_ts=ts, text=text)
    client.chat_postMessage(channel="#nlp", text="elsewhere")
    thread = client.conversations_replies(channel=channel, ts=ts)["messages"]
    [top] = client.conversations_history(channel=channel)["messages"]
    assert [one["text"] for one in thread] == ["parent", "one", "two"]
    assert (top["reply_count"], top["latest_reply"]) == (2, thread[-1]["ts"])


def test_a_broadcast_reply_stands_in_the_channel_too(client: WebClient, sandbox: Sandbox, clock: ManualClock) -> None:
    parent = client.chat_postMessage(channel="#vision", text="parent")
    client.chat_postMessage(channel="#vision", thread_ts=parent["ts"], text="done", reply_broadcast=True)
    assert [one["text"] for one in sandbox.people.messages("#vision")] == ["parent", "done"]


def test_history_pages_newest_first(client: WebClient, sandbox: Sandbox) -> None:
    for n in range(5):
        sandbox.people.type("ada", "#vision", f"m{n}")
    channel = sandbox.people.channel_id("#vision")
    pages = [
        [one["text"] for one in page["messages"]] for page in client.conversations_history(channel=channel, limit=2)
    ]
    assert pages == [["m4", "m3"], ["m2", "m1"], ["m0"]]


def test_history_can_be_asked_from_a_timestamp_on(client: WebClient, sandbox: Sandbox) -> None:
    stamps = [sandbox.people.type("ada", "#vision", f"m{n}").ts or "" for n in range(4)]
    channel = sandbox.people.channel_id("#vision")
    after = client.conversations_history(channel=channel, oldest=stamps[1])["messages"]
    among = client.conversations_history(channel=channel, oldest=stamps[1], latest=stamps[2], inclusive=True)[
        "messages"
    ]
    assert [one["text"] for one in after] == ["m3", "m2"]
    assert [one["text"] for one in among] == ["m2", "m1"]


def test_an_ephemeral_message_is_for_one_person(client: WebClient, sandbox: Sandbox) -> None:
    ada = sandbox.people.user_id("ada")
    client.chat_postEphemeral(channel=sandbox.people.channel_id("#vision"), user=ada, text="psst")
    assert [one["text"] for one in sandbox.people.ephemerals("ada")] == ["psst"]
    assert sandbox.people.ephemerals("tam") == []
    assert sandbox.people.messages("#vision") == []


def test_a_direct_message_opens_and_posts_by_user_id_too(client: WebClient, sandbox: Sandbox) -> None:
    lea = sandbox.people.user_id("lea")
    opened = client.conversations_open(users=lea)["channel"]["id"]
    client.chat_postMessage(channel=opened, text="please decide")
    client.chat_postMessage(channel=lea, text="still open")
    assert [one["text"] for one in sandbox.people.dms("lea")] == ["please decide", "still open"]
    assert sandbox.people.dms("ada") == []


def test_people_groups_and_the_bot_are_who_they_are(client: WebClient, sandbox: Sandbox) -> None:
    people = {one["name"]: one for one in client.users_list()["members"]}
    [group] = client.usergroups_list(include_users=True)["usergroups"]
    assert people["gus"]["is_restricted"] and not people["ada"]["is_restricted"]
    assert people["hourglass"]["is_bot"]
    assert group["handle"] == "gpu-leads"
    assert client.usergroups_users_list(usergroup=group["id"])["users"] == [people["lea"]["id"]]
    assert client.users_lookupByEmail(email="lea@acme.example")["user"]["id"] == people["lea"]["id"]
    assert client.users_info(user=people["tam"]["id"])["user"]["real_name"] == "Tam Okafor"
    who = client.auth_test()
    assert (who["user_id"], who["team"]) == (people["hourglass"]["id"], "Acme")
    assert client.bots_info(bot=who["bot_id"])["bot"]["user_id"] == who["user_id"]


def test_channels_say_whether_the_bot_is_in_them(client: WebClient, sandbox: Sandbox) -> None:
    members = {one["name"]: one["is_member"] for one in client.conversations_list()["channels"]}
    assert members == {"vision": True, "nlp": True, "random": False}
    random = sandbox.people.channel_id("#random")
    client.conversations_join(channel=random)
    assert client.conversations_info(channel=random)["channel"]["is_member"]
    assert client.auth_test()["user_id"] in client.conversations_members(channel=random)["members"]


def test_a_permalink_opens_the_page_at_the_message(client: WebClient, sandbox: Sandbox) -> None:
    posted = client.chat_postMessage(channel="#vision", text="here")
    link = client.chat_getPermalink(channel=posted["channel"], message_ts=posted["ts"])["permalink"]
    assert link.startswith(f"{sandbox.url}?channel={posted['channel']}")
    assert httpx.get(link).status_code == 200


def test_reactions_come_and_go(client: WebClient, sandbox: Sandbox) -> None:
    ts = sandbox.people.type("ada", "#vision", "look").ts or ""
    where = {"channel": sandbox.people.channel_id("#vision"), "timestamp": ts, "name": "eyes"}
    client.reactions_add(**where)
    assert sandbox.people.message("#vision", ts)["reactions"][0]["name"] == "eyes"
    assert error_of(lambda: client.reactions_add(**where)) == "already_reacted"
    client.reactions_remove(**where)
    assert "reactions" not in sandbox.people.message("#vision", ts)


ERRORS: list[tuple[str, Call]] = [
    ("channel_not_found", lambda c: c.chat_postMessage(channel="C0NOWHERE", text="x")),
    ("not_in_channel", lambda c: c.chat_postMessage(channel="#random", text="x")),
    ("thread_not_found", lambda c: c.chat_postMessage(channel="#vision", text="x", thread_ts="1.000001")),
    ("message_not_found", lambda c: c.chat_update(channel="#vision", ts="1.000001", text="x")),
    ("message_not_found", lambda c: c.chat_delete(channel="#vision", ts="1.000001")),
    ("not_in_channel", lambda c: c.conversations_history(channel="#random")),
    ("thread_not_found", lambda c: c.conversations_replies(channel="#vision", ts="1.000001")),
    ("user_not_found", lambda c: c.users_info(user="U0NOBODY")),
    ("user_not_found", lambda c: c.conversations_open(users="U0NOBODY")),
    ("users_not_found", lambda c: c.users_lookupByEmail(email="nobody@acme.example")),
    ("no_such_subteam", lambda c: c.usergroups_users_list(usergroup="S0NONE")),
    ("user_not_in_channel", lambda c: c.chat_postEphemeral(channel="#nlp", user="U0NOBODY", text="x")),
    ("file_not_found", lambda c: c.files_info(file="F0NONE")),
    ("invalid_limit", lambda c: c.conversations_list(limit=2000)),
    ("invalid_cursor", lambda c: c.conversations_list(cursor="?")),
    ("invalid_types", lambda c: c.conversations_list(types="rooms")),
    ("invalid_arguments", lambda c: c.api_call("chat.postMessage", json={"text": "x"})),
    ("unknown_method", lambda c: c.api_call("chat.shout")),
    ("not_allowed_token_type", lambda c: c.api_call("apps.connections.open")),
]


@pytest.mark.parametrize(("error", "call"), ERRORS, ids=[f"{n}-{one[0]}" for n, one in enumerate(ERRORS)])
def test_slacks_error_codes(client: WebClient, error: str, call: Call) -> None:
    assert error_of(lambda: call(client)) == error


def test_only_its_own_messages_can_be_edited_or_deleted(client: WebClient, sandbox: Sandbox) -> None:
    where: dict[str, Any] = {
        "channel": sandbox.people.channel_id("#vision"),
        "ts": sandbox.people.type("ada", "#vision", "mine").ts or "",
    }
    assert error_of(lambda: client.chat_update(**where, text="x")) == "cant_update_message"
    assert error_of(lambda: client.chat_delete(**where)) == "cant_delete_message"


def test_a_reply_carries_no_thread_of_its_own(client: WebClient) -> None:
    parent = client.chat_postMessage(channel="#vision", text="parent")
    reply = client.chat_postMessage(channel="#vision", thread_ts=parent["ts"], text="reply")
    nested = {"channel": "#vision", "thread_ts": reply["ts"], "text": "nested"}
    assert error_of(lambda: client.chat_postMessage(**nested)) == "cannot_reply_to_message"


def test_the_bot_is_shut_out_of_archived_channels_and_those_it_was_removed_from(
    client: WebClient, sandbox: Sandbox
) -> None:
    sandbox.people.archive("#nlp")
    assert error_of(lambda: client.chat_postMessage(channel="#nlp", text="x")) == "is_archived"
    sandbox.people.kick_bot("#vision")
    assert error_of(lambda: client.chat_postMessage(channel="#vision", text="x")) == "not_in_channel"
    sandbox.people.invite_bot("#vision")
    assert client.chat_postMessage(channel="#vision", text="x")["ok"]


@pytest.mark.parametrize(
    ("token", "error"), [("", "not_authed"), ("xoxb-wrong", "invalid_auth"), ("app", "not_allowed_token_type")]
)
def test_tokens_are_checked(sandbox: Sandbox, token: str, error: str) -> None:
    client = WebClient(token=sandbox.app_token if token == "app" else token, base_url=sandbox.api_url)
    assert error_of(client.auth_test) == error


def test_tokens_are_new_for_each_workspace(sandbox: Sandbox) -> None:
    with Sandbox.start() as other:
        assert {other.bot_token, other.app_token, other.signing_secret}.isdisjoint(
            {sandbox.bot_token, sandbox.app_token, sandbox.signing_secret}
        )


def test_what_the_manifest_does_not_ask_for_is_missing() -> None:
    manifest: dict[str, Any] = {"oauth_config": {"scopes": {"bot": ["commands", "users:read"]}}}
    with Sandbox.start(app=AppConfig.from_manifest(manifest)) as sandbox:
        client = WebClient(token=sandbox.bot_token, base_url=sandbox.api_url)
        with pytest.raises(SlackApiError) as refused:
            client.chat_postMessage(channel="#vision", text="x")
        assert refused.value.response["error"] == "missing_scope"
        assert refused.value.response["needed"] == "chat:write"
        assert "email" not in client.users_info(user=sandbox.people.user_id("ada"))["user"]["profile"]


@pytest.mark.parametrize(
    ("content_type", "body", "error"),
    [
        ("application/json", b"{", "invalid_json"),
        ("application/json", b"[]", "json_not_object"),
        ("text/plain", b"channel=C1", "invalid_post_type"),
    ],
)
def test_bodies_that_are_neither_form_nor_json_are_refused(
    sandbox: Sandbox, content_type: str, body: bytes, error: str
) -> None:
    headers = {"Authorization": f"Bearer {sandbox.bot_token}", "Content-Type": content_type}
    answer = httpx.post(f"{sandbox.api_url}chat.postMessage", content=body, headers=headers)
    assert answer.json() == {"ok": False, "error": error}


def test_blocks_come_as_json_or_inside_a_form(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {sandbox.bot_token}"}
    url, blocks = f"{sandbox.api_url}chat.postMessage", '[{"type":"divider"}]'
    for sent in (
        {"data": {"channel": "#vision", "blocks": blocks}},
        {"json": {"channel": "#vision", "blocks": [{"type": "divider"}]}},
    ):
        answer = httpx.post(url, headers=headers, **sent).json()
        assert answer["message"]["blocks"][0]["type"] == "divider"
