"""What a person can do with blocks: find an element, choose in it, and the values that choosing leaves; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from bot.sandbox.records import Json, PersonError

Choice: TypeAlias = str | Sequence[str]
# (block_id, action_id) -> the element's part of state.values
Picked: TypeAlias = dict[tuple[str, str], Json]

_ONE_OPTION = frozenset({"static_select", "radio_buttons", "overflow"})
_MANY_OPTIONS = frozenset({"multi_static_select", "checkboxes"})
_PLAIN = {
    "plain_text_input": "value",
    "number_input": "value",
    "users_select": "selected_user",
    "channels_select": "selected_channel",
    "datepicker": "selected_date",
}
_INITIAL = {
    "plain_text_input": "initial_value",
    "number_input": "initial_value",
    "users_select": "initial_user",
    "channels_select": "initial_channel",
    "datepicker": "initial_date",
}


def elements(blocks: Sequence[Json]) -> Iterator[tuple[Json, Json]]:
    """Every interactive element with its block, in reading order."""
    for block in blocks:
        found = list(block.get("elements", [])) if block["type"] == "actions" else []
        found += [block[key] for key in ("accessory", "element") if key in block]
        for element in found:
            if isinstance(element, dict) and element.get("type") != "image":
                yield block, element


def find(blocks: Sequence[Json], action_id: str, block_id: str | None, value: str | None) -> tuple[Json, Json]:
    """The element a person means; PersonError names the ones there are."""
    there = list(elements(blocks))
    for block, element in there:
        if (
            element.get("action_id") == action_id
            and block_id in (None, block["block_id"])
            and value in (None, element.get("value"))
        ):
            return block, element
    names = ", ".join(sorted({str(element.get("action_id")) for _, element in there})) or "none at all"
    raise PersonError(f"there is no {action_id!r} to act on here; there is {names}")


def options(element: Json) -> list[Json]:
    """All options of an element, those in groups included."""
    grouped = [option for group in element.get("option_groups", []) for option in group["options"]]
    return [*element.get("options", []), *grouped]


def chosen(element: Json, choice: Choice) -> Json:
    """The element's part of state.values after this choice (an option's value, several, an id, or typed text)."""
    kind = str(element["type"])
    if kind in _ONE_OPTION:
        if not isinstance(choice, str):
            raise PersonError(f"{element.get('action_id')!r} takes one option, not several")
        return {"type": kind, "selected_option": _option(element, choice)}
    if kind in _MANY_OPTIONS:
        wanted = [choice] if isinstance(choice, str) else choice
        return {"type": kind, "selected_options": [_option(element, one) for one in wanted]}
    if kind not in _PLAIN:
        raise PersonError(f"there is nothing to choose in a {kind}; press it instead")
    if not isinstance(choice, str):
        raise PersonError(f"{element.get('action_id')!r} takes one text, not several")
    if kind == "plain_text_input":
        _check_length(element, choice)
    return {"type": kind, _PLAIN[kind]: choice or None}


def initial(element: Json) -> Json | None:
    """The element's part of state.values before anybody touched it; None for buttons and menus."""
    kind = str(element["type"])
    if kind in _PLAIN:
        return {"type": kind, _PLAIN[kind]: element.get(_INITIAL[kind])}
    if kind in _MANY_OPTIONS:
        return {"type": kind, "selected_options": element.get("initial_options", [])}
    if kind in _ONE_OPTION - {"overflow"}:
        return {"type": kind, "selected_option": element.get("initial_option")}
    return None


def values(blocks: Sequence[Json], picked: Picked) -> Json:
    """state.values: each stateful element as it stands, chosen or initial."""
    state: Json = {}
    for block, element in elements(blocks):
        name = (str(block["block_id"]), str(element.get("action_id")))
        part = picked.get(name) or initial(element)
        if part is not None:
            state.setdefault(name[0], {})[name[1]] = part
    return state


def action(block: Json, element: Json, part: Json | None, action_ts: str) -> Json:
    """One entry of a block_actions payload's `actions`."""
    kept: Json = {key: element[key] for key in ("text", "value", "style", "url", "placeholder") if key in element}
    return {
        "type": element["type"],
        "action_id": element["action_id"],
        "block_id": block["block_id"],
        **kept,
        **(part or {}),
        "action_ts": action_ts,
    }


def empty(part: Json | None) -> bool:
    """True when a person has given nothing in that element."""
    return part is None or not any(value for key, value in part.items() if key != "type")


def _option(element: Json, value: str) -> Json:
    for option in options(element):
        if option["value"] == value:
            return option
    there = ", ".join(repr(option["value"]) for option in options(element))
    raise PersonError(f"{element.get('action_id')!r} has no option {value!r}; it has {there}")


def _check_length(element: Json, text: str) -> None:
    least, most = int(element.get("min_length") or 0), int(element.get("max_length") or 3000)
    if text and not least <= len(text) <= most:
        raise PersonError(f"{element.get('action_id')!r} takes {least} to {most} characters, not {len(text)}")
