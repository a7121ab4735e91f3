"""Files: slack_sdk's files_upload_v2 into a thread, who may download, and what Slack refuses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.sandbox import ManualClock, Sandbox

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 64


def upload(client: WebClient, sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    answer = client.files_upload_v2(
        channel=sandbox.people.channel_id("#vision"), content=PNG, filename="loss.png", **more
    )
    file: dict[str, Any] = answer["file"]
    return file


def test_a_plot_uploaded_into_a_thread_stands_there_with_its_words(client: WebClient, sandbox: Sandbox) -> None:
    parent = client.chat_postMessage(channel="#vision", text="card")
    file = upload(
        client, sandbox, title="Loss", alt_txt="loss falls to 1.8", initial_comment="step 300", thread_ts=parent["ts"]
    )
    _, reply = sandbox.people.thread("#vision", parent["ts"])
    assert (reply["text"], reply["files"][0]["id"]) == ("step 300", file["id"])
    assert (reply["files"][0]["title"], reply["files"][0]["alt_txt"]) == ("Loss", "loss falls to 1.8")
    assert sandbox.people.file_bytes(file["id"]) == PNG
    assert client.files_info(file=file["id"])["file"]["channels"] == [parent["channel"]]


def test_the_private_url_wants_the_bots_token(client: WebClient, sandbox: Sandbox) -> None:
    url = upload(client, sandbox)["url_private"]
    ours = httpx.get(url, headers={"Authorization": f"Bearer {sandbox.bot_token}"})
    stranger = httpx.get(url)
    assert (ours.status_code, ours.content, ours.headers["content-type"]) == (200, PNG, "image/png")
    assert stranger.status_code == 302 and PNG not in stranger.content


def test_the_bytes_must_be_as_many_as_announced_and_come_once(client: WebClient, sandbox: Sandbox) -> None:
    ticket = client.files_getUploadURLExternal(filename="loss.png", length=len(PNG))
    assert httpx.post(ticket["upload_url"], content=PNG[:-1]).status_code == 400
    assert httpx.post(ticket["upload_url"], content=PNG).status_code == 200
    assert httpx.post(ticket["upload_url"], content=PNG).status_code == 400


def complete(client: WebClient, sandbox: Sandbox, *, uploaded: bool = True, **more: Any) -> str:
    ticket = client.files_getUploadURLExternal(filename="loss.png", length=len(PNG))
    if uploaded:
        httpx.post(ticket["upload_url"], content=PNG)
    with pytest.raises(SlackApiError) as refused:
        client.files_completeUploadExternal(files=[{"id": ticket["file_id"], "title": "t"}], **more)
    return str(refused.value.response["error"])


def test_a_file_that_was_never_uploaded_cannot_be_shared(client: WebClient, sandbox: Sandbox) -> None:
    assert complete(client, sandbox, uploaded=False) == "file_not_found"


def test_sharing_obeys_the_channel_and_the_thread(client: WebClient, sandbox: Sandbox) -> None:
    vision, random = sandbox.people.channel_id("#vision"), sandbox.people.channel_id("#random")
    assert complete(client, sandbox, channel_id=random) == "not_in_channel"
    assert complete(client, sandbox, channel_id="C0NOWHERE") == "channel_not_found"
    assert complete(client, sandbox, channel_id=vision, thread_ts="1.000001") == "thread_not_found"
    assert sandbox.people.files() == []


def test_an_image_block_can_show_a_shared_file_once_slack_has_worked_on_it(
    client: WebClient, sandbox: Sandbox, clock: ManualClock
) -> None:
    file = upload(client, sandbox)
    block = {"type": "image", "alt_text": "loss", "slack_file": {"id": file["id"]}}
    with pytest.raises(SlackApiError) as refused:
        client.chat_postMessage(channel="#vision", text="plot", blocks=[block])
    assert "invalid slack file" in refused.value.response["errors"][0]
    clock.advance(1.1)
    assert client.chat_postMessage(channel="#vision", text="plot", blocks=[block])["ok"]


def test_an_unshared_file_is_invalid_in_an_image_block(client: WebClient, sandbox: Sandbox, clock: ManualClock) -> None:
    file = client.files_upload_v2(content=PNG, filename="loss.png")["file"]
    clock.advance(5)
    block = {"type": "image", "alt_text": "loss", "slack_file": {"url": file["url_private"]}}
    with pytest.raises(SlackApiError) as refused:
        client.chat_postMessage(channel="#vision", text="plot", blocks=[block])
    assert refused.value.response["error"] == "invalid_blocks"
