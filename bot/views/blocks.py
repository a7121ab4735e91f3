"""The pieces that views are made of, each within Slack's limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bot.markup import escape, plain

Block: TypeAlias = dict[str, Any]

SECTION = 3000
CONTEXT = 2000
HEADER = 150
BUTTON = 75
TEXT = 3000  # of a message's own text: an edit is refused above 4,000 bytes


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is said: `text` alone carries the whole fact, blocks are how it looks."""

    text: str
    blocks: Sequence[Block] = ()


def cut(text: str, most: int) -> str:
    """Return mrkdwn cut to `most` characters, never inside an entity, a link or a mention."""
    if len(text) <= most:
        return text
    head = text[: most - 1]
    for opening, closing in (("&", ";"), ("<", ">")):
        start = head.rfind(opening)
        if start > head.rfind(closing):
            head = head[:start]
    return head.rstrip() + "…"


def header(text: str) -> Block:
    """Return a header; its text is plain."""
    return {"type": "header", "text": {"type": "plain_text", "text": cut(plain(text), HEADER), "emoji": False}}


def section(text: str, *, accessory: Block | None = None) -> Block:
    """Return a paragraph of mrkdwn."""
    block: Block = {"type": "section", "text": {"type": "mrkdwn", "text": cut(escape(text), SECTION)}}
    return block if accessory is None else block | {"accessory": accessory}


def fields(pairs: Sequence[tuple[str, str]]) -> Block:
    """Return labelled values in two columns, ten at most."""
    shown = [
        {"type": "mrkdwn", "text": cut(f"*{escape(label)}*\n{escape(value)}", CONTEXT)} for label, value in pairs[:10]
    ]
    return {"type": "section", "fields": shown}


def context(*texts: str) -> Block:
    """Return small print."""
    return {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": cut(escape(text), CONTEXT)} for text in texts[:10]],
    }


def divider() -> Block:
    """Return a line."""
    return {"type": "divider"}


def button(
    label: str, action: str, value: str, *, style: str | None = None, confirm: Block | None = None, url: str = ""
) -> Block:
    """Return a button that answers with `action` and `value`."""
    block: Block = {"type": "button", "text": _plain(label, BUTTON), "action_id": action, "value": value}
    if style:
        block["style"] = style
    if confirm:
        block["confirm"] = confirm
    if url:
        block["url"] = url
    return block


def confirm(title: str, text: str, yes: str, no: str, *, danger: bool = False) -> Block:
    """Return the dialog that asks before a button acts."""
    block: Block = {
        "title": _plain(title, 100),
        "text": {"type": "mrkdwn", "text": cut(escape(text), 300)},
        "confirm": _plain(yes, 30),
        "deny": _plain(no, 30),
    }
    return block | {"style": "danger"} if danger else block


def actions(block_id: str, buttons: Sequence[Block]) -> list[Block]:
    """Return a row of buttons as a list of blocks: empty where there are none."""
    return [{"type": "actions", "block_id": block_id, "elements": list(buttons[:25])}] if buttons else []


def option(label: str, value: str, description: str = "") -> Block:
    """Return a choice of a select or of radio buttons."""
    chosen: Block = {"text": _plain(label, 75), "value": value}
    return chosen | {"description": _plain(description, 75)} if description else chosen


def modal(
    *, callback: str, title: str, blocks: Sequence[Block], close: str, submit: str = "", about: str = ""
) -> Block:
    """Return a modal; `about` comes back with its submission."""
    view: Block = {
        "type": "modal",
        "callback_id": callback,
        "title": _plain(title, 24),
        "close": _plain(close, 24),
        "private_metadata": about,
        "blocks": list(blocks[:100]),
    }
    return view | {"submit": _plain(submit, 24)} if submit else view


def entry(block_id: str, label: str, element: Block, *, optional: bool = False, hint: str = "") -> Block:
    """Return an input of a modal."""
    block: Block = {"type": "input", "block_id": block_id, "label": _plain(label, 2000), "element": element}
    block["optional"] = optional
    return block | {"hint": _plain(hint, 2000)} if hint else block


def _plain(text: str, most: int) -> Block:
    return {"type": "plain_text", "text": cut(plain(text), most), "emoji": False}
