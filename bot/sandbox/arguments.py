"""The arguments of one Web API call, whether they came as a form (all text) or as JSON."""

from __future__ import annotations

import json

from bot.sandbox.records import Json, SlackError


def invalid(message: str) -> SlackError:
    """Slack's `invalid_arguments`, with the sentence that says which."""
    return SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {message}"]})


class Arguments:
    """Typed access to a call's arguments; what does not fit is `invalid_arguments` with the name in it."""

    def __init__(self, values: Json) -> None:
        self._values = values

    def has(self, name: str) -> bool:
        """True when the argument was given and is not null."""
        return self._values.get(name) is not None

    def text(self, name: str) -> str | None:
        """A string, or None when it was not given."""
        value = self._values.get(name)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        raise invalid(f"must be a string: {name}")

    def required(self, name: str) -> str:
        """A string that is there and not empty."""
        value = self.text(name)
        if not value:
            raise invalid(f"missing required field: {name}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """A truth value in any of the forms Slack takes."""
        value = self._values.get(name)
        if value is None:
            return default
        return str(value).lower() in ("1", "true")

    def number(self, name: str, default: int) -> int:
        """A whole number."""
        value = self._values.get(name)
        try:
            return default if value is None else int(str(value))
        except ValueError:
            raise invalid(f"must be a number: {name}") from None

    def names(self, name: str) -> list[str]:
        """A comma-separated list, or a JSON array of strings."""
        value = self._values.get(name)
        if isinstance(value, list):
            return [str(one) for one in value]
        return [one for one in str(value or "").split(",") if one]

    def tree(self, name: str, code: str) -> object:
        """A JSON value: sent as such, or as text in a form; `code` when the text is no JSON."""
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return json.loads(value)
        except ValueError:
            raise SlackError(code) from None
