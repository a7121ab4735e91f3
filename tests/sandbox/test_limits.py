"""Block Kit's limits: at each border the payload passes, one beyond it is refused, with Slack's words and pointer."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.sandbox.limits import check_message_blocks, check_view, view_too_large
from tests.sandbox.peers import actions, button, modal, option, plain, text_input

Block = dict[str, Any]


def mrkdwn(length: int) -> Block:
    return {"type": "mrkdwn", "text": "x" * length}


def section(length: int) -> Block:
    return {"type": "section", "text": mrkdwn(length)}


def image(alt: int = 1, url: int = 30) -> Block:
    return {"type": "image", "alt_text": "a" * alt, "image_url": "https://plots.example/".ljust(url, "x")}


def select(count: int) -> Block:
    return {"type": "static_select", "action_id": "s", "options": [option(str(n)) for n in range(count)]}


def table(rows: int, columns: int) -> Block:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": "1"}] * columns] * rows}


BORDERS = [
    ("blocks of a message", [{"type": "divider"}] * 50, [{"type": "divider"}] * 51),
    ("text of a section", [section(3000)], [section(3001)]),
    ("text of a section, empty", [section(1)], [section(0)]),
    ("fields", [{"type": "section", "fields": [mrkdwn(1)] * 10}], [{"type": "section", "fields": [mrkdwn(1)] * 11}]),
    ("a field", [{"type": "section", "fields": [mrkdwn(2000)]}], [{"type": "section", "fields": [mrkdwn(2001)]}]),
    ("header", [{"type": "header", "text": plain("h" * 150)}], [{"type": "header", "text": plain("h" * 151)}]),
    ("header, kind", [{"type": "header", "text": plain("h")}], [{"type": "header", "text": mrkdwn(1)}]),
    (
        "elements of actions",
        [actions(*[button(f"b{n}") for n in range(25)])],
        [actions(*[button(f"b{n}") for n in range(26)])],
    ),
    ("action_ids in one block", [actions(button("a"), button("b"))], [actions(button("a"), button("a"))]),
    (
        "elements of context",
        [{"type": "context", "elements": [mrkdwn(1)] * 10}],
        [{"type": "context", "elements": [mrkdwn(1)] * 11}],
    ),
    ("text of a button", [actions(button(text=plain("b" * 75)))], [actions(button(text=plain("b" * 76)))]),
    ("value of a button", [actions(button(value="v" * 2000))], [actions(button(value="v" * 2001))]),
    ("url of a button", [actions(button(url="https://a.example"))], [actions(button(url="a.example"))]),
    ("style of a button", [actions(button(style="danger"))], [actions(button(style="blue"))]),
    ("action_id", [actions(button("a" * 255))], [actions(button("a" * 256))]),
    ("block_id", [{"type": "divider", "block_id": "b" * 255}], [{"type": "divider", "block_id": "b" * 256}]),
    ("block_ids", [actions(button(), block_id="a")], [actions(button(), block_id="a")] * 2),
    ("alt_text", [image(alt=2000)], [image(alt=2001)]),
    ("alt_text, missing", [image(alt=1)], [image(alt=0)]),
    ("image_url", [image(url=3000)], [image(url=3001)]),
    ("markdown", [{"type": "markdown", "text": "m" * 12_000}], [{"type": "markdown", "text": "m" * 12_001}]),
    ("options of a select", [actions(select(100))], [actions(select(101))]),
    ("rows of a table", [table(100, 1)], [table(101, 1)]),
    ("columns of a table", [table(1, 20)], [table(1, 21)]),
    (
        "overflow",
        [actions({"type": "overflow", "action_id": "o", "options": [option(str(n)) for n in range(5)]})],
        [actions({"type": "overflow", "action_id": "o", "options": [option(str(n)) for n in range(6)]})],
    ),
]


@pytest.mark.parametrize(("within", "beyond"), [b[1:] for b in BORDERS], ids=[b[0] for b in BORDERS])
def test_each_limit_of_a_message_holds_at_its_border(within: list[Block], beyond: list[Block]) -> None:
    assert check_message_blocks(within) == []
    assert check_message_blocks(beyond) != []


VIEW_BORDERS = [
    ("blocks", modal([{"type": "divider"}] * 100), modal([{"type": "divider"}] * 101)),
    ("title", modal(title=plain("t" * 24)), modal(title=plain("t" * 25))),
    ("submit", modal(submit=plain("s" * 24)), modal(submit=plain("s" * 25))),
    ("private_metadata", modal(private_metadata="p" * 3000), modal(private_metadata="p" * 3001)),
    ("callback_id", modal(callback_id="c" * 255), modal(callback_id="c" * 256)),
    ("label", modal([text_input(label=plain("l" * 2000))]), modal([text_input(label=plain("l" * 2001))])),
    ("submit, needed for inputs", modal(), modal(submit=None)),
    ("type", modal(), modal(type="dialog")),
    ("markdown has no place in a modal", modal(), modal([{"type": "markdown", "text": "x"}])),
]


@pytest.mark.parametrize(("within", "beyond"), [b[1:] for b in VIEW_BORDERS], ids=[b[0] for b in VIEW_BORDERS])
def test_each_limit_of_a_modal_holds_at_its_border(within: Block, beyond: Block) -> None:
    assert check_view(within) == []
    assert check_view(beyond) != []


@pytest.mark.parametrize(
    ("block", "word"),
    [
        ({"type": "carousel"}, "carousel"),
        (actions({"type": "rocket_launcher", "action_id": "x"}), "rocket_launcher"),
        (actions({"type": "plain_text_input", "action_id": "x"}), "plain_text_input"),
        ({"type": "section", "text": plain("x"), "accessory": {"type": "video"}}, "video"),
    ],
)
def test_what_this_workspace_cannot_show_is_refused_by_name(block: Block, word: str) -> None:
    assert [line for line in check_message_blocks([block]) if f"unsupported type: {word}" in line]


def test_a_view_of_more_than_250_kilobytes_is_too_large() -> None:
    assert not view_too_large({"blocks": "x" * 249_000})
    assert view_too_large({"blocks": "x" * 250_001})


def test_the_answer_has_slacks_shape(client: WebClient) -> None:
    with pytest.raises(SlackApiError) as refused:
        client.chat_postMessage(channel="#vision", text="x", blocks=[section(3001)])
    assert refused.value.response.data == {
        "ok": False,
        "error": "invalid_blocks",
        "errors": [
            "failed to match all allowed schemas [json-pointer:/blocks/0/text]",
            "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
        ],
        "response_metadata": {
            "messages": [
                "[ERROR] failed to match all allowed schemas [json-pointer:/blocks/0/text]",
                "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
            ]
        },
    }


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("no_text", {"text": ""}),
        ("no_text", {"text": "   "}),
        ("no_text", {"blocks": []}),
        ("msg_too_long", {"text": "x" * 40_001}),
        ("msg_blocks_too_long", {"text": "x", "blocks": [section(2900)] * 5}),
        ("invalid_blocks_format", {"text": "x", "blocks": "{"}),
        ("invalid_blocks_format", {"text": "x", "blocks": '{"type": "divider"}'}),
        ("too_many_attachments", {"text": "x", "attachments": [{"text": "a"}] * 101}),
        ("invalid_metadata_schema", {"text": "x", "metadata": {"event_type": "job"}}),
        ("invalid_metadata_format", {"text": "x", "metadata": '"job"'}),
        (
            "metadata_too_large",
            {"text": "x", "metadata": {"event_type": "job", "event_payload": {"log": "x" * 16_000}}},
        ),
    ],
)
def test_a_message_that_says_too_much_or_nothing_is_refused(
    client: WebClient, error: str, message: dict[str, Any]
) -> None:
    with pytest.raises(SlackApiError) as refused:
        # Not chat_postMessage: the SDK itself warns about a message without text.
        client.api_call("chat.postMessage", json={"channel": "#vision", **message})
    assert refused.value.response["error"] == error


def test_an_edit_is_held_to_4000_bytes_of_escaped_text(client: WebClient) -> None:
    posted = client.chat_postMessage(channel="#vision", text="first")
    where = {"channel": posted["channel"], "ts": posted["ts"]}
    assert client.chat_update(**where, text="x" * 4000)["ok"]
    for text in ("x" * 4001, "—" * 1334, "&" * 801):
        with pytest.raises(SlackApiError) as refused:
            client.chat_update(**where, text=text)
        assert refused.value.response["error"] == "msg_too_long"
