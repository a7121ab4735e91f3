"""Block Kit's interactive elements and their limits; pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import cast

from bot.sandbox.problems import Problems
from bot.sandbox.records import Json

_Check = Callable[[Json, str, Problems], None]


def check_element(element: object, at: str, problems: Problems, allowed: frozenset[str]) -> None:
    """Add what is wrong with one element; it must be of an allowed type."""
    if not problems.check_object(element, at):
        return
    shape = cast(Json, element)
    kind = str(shape.get("type"))
    if kind not in allowed:
        problems.add(f"unsupported type: {kind}", f"{at}/type")
        return
    problems.optional_text(shape, "action_id", at, most=255)
    if shape.get("placeholder") is not None:
        problems.text_object(shape["placeholder"], f"{at}/placeholder", most=150, kinds=("plain_text",))
    if shape.get("confirm") is not None:
        _confirm(shape["confirm"], f"{at}/confirm", problems)
    _CHECKS[kind](shape, at, problems)


def _confirm(confirm: object, at: str, problems: Problems) -> None:
    if not problems.check_object(confirm, at):
        return
    shape = cast(Json, confirm)
    problems.text_object(shape.get("title"), f"{at}/title", most=100, kinds=("plain_text",))
    problems.text_object(shape.get("text"), f"{at}/text", most=300)
    for key in ("confirm", "deny"):
        if key in shape:
            problems.text_object(shape[key], f"{at}/{key}", most=30, kinds=("plain_text",))


def _button(element: Json, at: str, problems: Problems) -> None:
    problems.text_object(element.get("text"), f"{at}/text", most=75, kinds=("plain_text",))
    problems.optional_text(element, "value", at, most=2000)
    problems.optional_text(element, "url", at, most=3000)
    problems.optional_text(element, "accessibility_label", at, most=75)
    if element.get("style", "primary") not in ("primary", "danger"):
        problems.add("must be one of: primary, danger", f"{at}/style")
    url = element.get("url")
    if isinstance(url, str) and not re.match(r"[a-z][a-z0-9+.-]*:", url):
        problems.add("invalid url", f"{at}/url")


def _image(element: Json, at: str, problems: Problems) -> None:
    problems.image(element, at)


def _option(option: object, at: str, problems: Problems, kinds: tuple[str, ...], value_most: int) -> None:
    if not problems.check_object(option, at):
        return
    shape = cast(Json, option)
    problems.text_object(shape.get("text"), f"{at}/text", most=75, kinds=kinds)
    problems.required_text(shape, "value", at, most=value_most)
    if shape.get("description") is not None:
        problems.text_object(shape["description"], f"{at}/description", most=75, kinds=kinds)


def _options(*, most: int, least: int = 1, kinds: tuple[str, ...] = ("plain_text",), value_most: int = 150) -> _Check:
    """A check of `options` (or `option_groups`) and of what is chosen at first."""

    def check(element: Json, at: str, problems: Problems) -> None:
        lists = [(element.get("options"), f"{at}/options")]
        groups = element.get("option_groups")
        if groups is not None and problems.check_list(groups, f"{at}/option_groups", most=100):
            lists = []
            for index, group in enumerate(cast(list[object], groups)):
                here = f"{at}/option_groups/{index}"
                if problems.check_object(group, here):
                    problems.text_object(cast(Json, group).get("label"), f"{here}/label", most=75, kinds=kinds)
                    lists.append((cast(Json, group).get("options"), f"{here}/options"))
        known: list[object] = []
        for options, here in lists:
            if problems.check_list(options, here, most=most, least=least):
                for index, option in enumerate(cast(list[object], options)):
                    _option(option, f"{here}/{index}", problems, kinds, value_most)
                    known.append(option.get("value") if isinstance(option, dict) else None)
        initial = element.get("initial_options", [])
        for chosen in [element["initial_option"]] if "initial_option" in element else initial:
            if not isinstance(chosen, dict) or chosen.get("value") not in known:
                problems.add("initial option is not one of the options", at)

    return check


def _plain_text_input(element: Json, at: str, problems: Problems) -> None:
    problems.optional_text(element, "initial_value", at, most=3000)
    for key, highest in (("min_length", 3000), ("max_length", 3000)):
        value = element.get(key)
        if value is not None and (not isinstance(value, int) or not 0 <= value <= highest):
            problems.add(f"must be between 0 and {highest}", f"{at}/{key}")


def _number_input(element: Json, at: str, problems: Problems) -> None:
    if not isinstance(element.get("is_decimal_allowed"), bool):
        problems.add("missing required field: is_decimal_allowed", at)


def _datepicker(element: Json, at: str, problems: Problems) -> None:
    value = element.get("initial_date")
    if value is not None:
        try:
            date.fromisoformat(str(value))
        except ValueError:
            problems.add("must be a date as YYYY-MM-DD", f"{at}/initial_date")


def _nothing_more(element: Json, at: str, problems: Problems) -> None:
    """For elements without a limit of their own."""


_CHECKS: dict[str, _Check] = {
    "button": _button,
    "image": _image,
    "static_select": _options(most=100),
    "multi_static_select": _options(most=100),
    "overflow": _options(most=5),
    "radio_buttons": _options(most=10, kinds=("plain_text", "mrkdwn")),
    "checkboxes": _options(most=10, kinds=("plain_text", "mrkdwn")),
    "users_select": _nothing_more,
    "channels_select": _nothing_more,
    "plain_text_input": _plain_text_input,
    "number_input": _number_input,
    "datepicker": _datepicker,
}
_CHOICES = frozenset(
    {
        "static_select",
        "multi_static_select",
        "radio_buttons",
        "checkboxes",
        "users_select",
        "channels_select",
        "datepicker",
    }
)
ACTION_ELEMENTS = frozenset({"button", "overflow"}) | (_CHOICES - {"multi_static_select"})
SECTION_ACCESSORIES = frozenset({"button", "overflow", "image"}) | _CHOICES
INPUT_ELEMENTS = frozenset({"plain_text_input", "number_input"}) | _CHOICES
