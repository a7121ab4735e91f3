"""Block Kit's limits, pure: what Slack would refuse, found before anybody sees it.

`check_message_blocks` and `check_view` return the problems in Slack's own form, a sentence and a JSON pointer,
as they stand in `response_metadata.messages`. Blocks and elements that this workspace cannot show are
refused by name rather than shown wrongly. Lengths count characters, the size of a view counts bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import cast

from bot.sandbox.elements import ACTION_ELEMENTS, INPUT_ELEMENTS, SECTION_ACCESSORIES, check_element
from bot.sandbox.problems import Problems
from bot.sandbox.records import Json

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
VIEW_BYTES = 250_000
# Not in the reference: the sum at which chat.postMessage was seen to answer msg_blocks_too_long.
MESSAGE_BLOCKS_TEXT = 13_200
POST_TEXT = 40_000
UPDATE_TEXT_BYTES = 4_000
ATTACHMENTS = 100


def escaped(text: str) -> str:
    """Text with &, < and > as Slack counts and stores them."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def check_message_blocks(blocks: object) -> list[str]:
    """What is wrong with a message's blocks; empty when nothing is."""
    problems = Problems()
    if problems.check_list(blocks, "/blocks", most=MESSAGE_BLOCKS):
        _check_blocks(cast(list[object], blocks), "/blocks", problems, _MESSAGE)
    return problems.lines


def blocks_text_length(blocks: Sequence[Json]) -> int:
    """Characters of text in all blocks together."""

    def texts(value: object) -> int:
        if isinstance(value, dict):
            return sum(len(v) if k == "text" and isinstance(v, str) else texts(v) for k, v in value.items())
        return sum(texts(one) for one in value) if isinstance(value, list) else 0

    return texts(list(blocks))


def check_view(view: object) -> list[str]:
    """What is wrong with a modal; empty when nothing is."""
    problems = Problems()
    if not problems.check_object(view, "/view"):
        return problems.lines
    shape = cast(Json, view)
    if shape.get("type") != "modal":
        problems.add("must be one of: modal", "/view/type")
    problems.text_object(shape.get("title"), "/view/title", most=24, kinds=("plain_text",))
    for key in ("submit", "close"):
        if key in shape and shape[key] is not None:
            problems.text_object(shape[key], f"/view/{key}", most=24, kinds=("plain_text",))
    problems.optional_text(shape, "private_metadata", "/view", most=3000)
    problems.optional_text(shape, "callback_id", "/view", most=255)
    problems.optional_text(shape, "external_id", "/view", most=255)
    blocks = shape.get("blocks")
    if problems.check_list(blocks, "/view/blocks", most=VIEW_BLOCKS):
        items = cast(list[object], blocks)
        _check_blocks(items, "/view/blocks", problems, _MODAL)
        if shape.get("submit") is None and any(isinstance(b, dict) and b.get("type") == "input" for b in items):
            problems.add("missing required field: submit", "/view")
    return problems.lines


def view_too_large(view: Json) -> bool:
    """True when the view is over Slack's 250 KB."""
    return len(json.dumps(view, ensure_ascii=False).encode()) > VIEW_BYTES


def _check_blocks(blocks: list[object], at: str, problems: Problems, allowed: dict[str, _Check]) -> None:
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        here = f"{at}/{index}"
        if not problems.check_object(block, here):
            continue
        shape = cast(Json, block)
        kind = str(shape.get("type"))
        if kind not in allowed:
            problems.add(f"unsupported type: {kind}", f"{here}/type")
            continue
        problems.optional_text(shape, "block_id", here, most=255)
        name = shape.get("block_id")
        if isinstance(name, str) and name in seen:
            problems.add("`block_id` already exists for another block", f"{here}/block_id")
        seen.add(str(name))
        allowed[kind](shape, here, problems)


def _section(block: Json, at: str, problems: Problems) -> None:
    if "text" not in block and "fields" not in block:
        problems.add("missing required field: text", at)
    if "text" in block:
        problems.text_object(block["text"], f"{at}/text", most=3000)
    if "fields" in block and problems.check_list(block["fields"], f"{at}/fields", most=10):
        for index, one in enumerate(block["fields"]):
            problems.text_object(one, f"{at}/fields/{index}", most=2000)
    if "accessory" in block:
        check_element(block["accessory"], f"{at}/accessory", problems, SECTION_ACCESSORIES)


def _header(block: Json, at: str, problems: Problems) -> None:
    problems.text_object(block.get("text"), f"{at}/text", most=150, kinds=("plain_text",))


def _divider(block: Json, at: str, problems: Problems) -> None:
    for key in block.keys() - {"type", "block_id"}:
        problems.add(f"no more fields allowed: {key}", at)


def _context(block: Json, at: str, problems: Problems) -> None:
    elements = block.get("elements")
    if not problems.check_list(elements, f"{at}/elements", most=10):
        return
    for index, one in enumerate(cast(list[object], elements)):
        here = f"{at}/elements/{index}"
        if isinstance(one, dict) and one.get("type") == "image":
            check_element(one, here, problems, frozenset({"image"}))
        else:
            problems.text_object(one, here, most=2000)


def _actions(block: Json, at: str, problems: Problems) -> None:
    elements = block.get("elements")
    if not problems.check_list(elements, f"{at}/elements", most=25):
        return
    ids: set[str] = set()
    for index, one in enumerate(cast(list[object], elements)):
        here = f"{at}/elements/{index}"
        check_element(one, here, problems, ACTION_ELEMENTS)
        action_id = one.get("action_id") if isinstance(one, dict) else None
        if isinstance(action_id, str) and action_id in ids:
            problems.add(f'`action_id` "{action_id}" already exists', f"{here}/action_id")
        ids.add(str(action_id))


def _image(block: Json, at: str, problems: Problems) -> None:
    problems.image(block, at)
    if "title" in block:
        problems.text_object(block["title"], f"{at}/title", most=2000, kinds=("plain_text",))


def _markdown(block: Json, at: str, problems: Problems) -> None:
    problems.required_text(block, "text", at, most=12_000)


def _input(block: Json, at: str, problems: Problems) -> None:
    problems.text_object(block.get("label"), f"{at}/label", most=2000, kinds=("plain_text",))
    check_element(block.get("element"), f"{at}/element", problems, INPUT_ELEMENTS)
    if block.get("hint") is not None:
        problems.text_object(block["hint"], f"{at}/hint", most=2000, kinds=("plain_text",))


def _table(block: Json, at: str, problems: Problems) -> None:
    rows = block.get("rows")
    if not problems.check_list(rows, f"{at}/rows", most=100):
        return
    for index, row in enumerate(cast(list[object], rows)):
        if not problems.check_list(row, f"{at}/rows/{index}", most=20):
            continue
        for column, cell in enumerate(cast(list[object], row)):
            here = f"{at}/rows/{index}/{column}"
            if not isinstance(cell, dict) or cell.get("type") not in ("raw_text", "rich_text"):
                problems.add("unsupported type: a cell is raw_text or rich_text", here)
            elif cell["type"] == "raw_text":
                problems.required_text(cell, "text", here, most=3000)
            else:
                _rich_text(cell, here, problems)


_RICH = frozenset({"rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote"})


def _rich_text(block: Json, at: str, problems: Problems) -> None:
    elements = block.get("elements")
    if not problems.check_list(elements, f"{at}/elements", most=3000):
        return
    for index, one in enumerate(cast(list[object], elements)):
        if not isinstance(one, dict) or one.get("type") not in _RICH:
            problems.add("unsupported type of rich text", f"{at}/elements/{index}/type")


_Check = Callable[[Json, str, Problems], None]
_SHARED: dict[str, _Check] = {
    "section": _section,
    "header": _header,
    "divider": _divider,
    "context": _context,
    "actions": _actions,
    "image": _image,
    "rich_text": _rich_text,
    "input": _input,
}
_MESSAGE: dict[str, _Check] = _SHARED | {"markdown": _markdown, "table": _table}
_MODAL: dict[str, _Check] = dict(_SHARED)
