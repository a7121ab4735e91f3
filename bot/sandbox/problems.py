"""Findings about a payload: a sentence and a JSON pointer, and the checks that every block shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from bot.sandbox.records import Json

ALT_TEXT = 2000
IMAGE_URL = 3000


class Problems:
    """Collects what is wrong; `lines` reads as Slack's `errors` do."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, sentence: str, at: str) -> None:
        """Note one problem at a JSON pointer."""
        self.lines.append(f"{sentence} [json-pointer:{at}]")

    def check_object(self, value: object, at: str) -> bool:
        """True when the value is an object."""
        if not isinstance(value, dict):
            self.add("must provide an object", at)
        return isinstance(value, dict)

    def check_list(self, value: object, at: str, *, most: int, least: int = 1) -> bool:
        """True when the value is a list; its length is checked too."""
        if not isinstance(value, list):
            self.add("must provide an array", at)
            return False
        if len(value) > most:
            self.add(f"no more than {most} items allowed", at)
        if len(value) < least:
            self.add(f"no less than {least} items allowed", at)
        return True

    def text_object(
        self, value: object, at: str, *, most: int, kinds: Sequence[str] = ("plain_text", "mrkdwn")
    ) -> None:
        """A composition object of text, 1 to `most` characters, of one of these kinds."""
        if not isinstance(value, dict):
            self.add("missing required field: text object" if value is None else "must provide an object", at)
            return
        if value.get("type") not in kinds:
            self.add(f"must be one of: {', '.join(kinds)}", f"{at}/type")
        if value.get("type") == "mrkdwn" and "emoji" in value:
            self.add("no more fields allowed: emoji", at)
        before = len(self.lines)
        self.required_text(cast(Json, value), "text", at, most=most)
        if len(self.lines) > before:
            self.lines.insert(before, f"failed to match all allowed schemas [json-pointer:{at}]")

    def required_text(self, shape: Json, key: str, at: str, *, most: int) -> None:
        """A string of 1 to `most` characters under `key`."""
        value = shape.get(key)
        if value is None:
            self.add(f"missing required field: {key}", at)
        elif not isinstance(value, str):
            self.add("must be a string", f"{at}/{key}")
        elif not value:
            self.add("must be more than 0 characters", f"{at}/{key}")
        else:
            self.optional_text(shape, key, at, most=most)

    def optional_text(self, shape: Json, key: str, at: str, *, most: int) -> None:
        """Nothing, or a string of at most `most` characters, under `key`."""
        value = shape.get(key)
        if value is not None and not isinstance(value, str):
            self.add("must be a string", f"{at}/{key}")
        elif value is not None and len(value) > most:
            self.add(f"must be less than {most + 1} characters", f"{at}/{key}")

    def image(self, shape: Json, at: str) -> None:
        """An image, as a block or an element: what it shows and the words for those who do not see it."""
        self.required_text(shape, "alt_text", at, most=ALT_TEXT)
        sources = [key for key in ("image_url", "slack_file") if key in shape]
        if len(sources) != 1:
            self.add("must have exactly one of: image_url, slack_file", at)
        elif sources == ["image_url"]:
            self.required_text(shape, "image_url", at, most=IMAGE_URL)
            if isinstance(shape["image_url"], str) and not shape["image_url"].startswith(("http://", "https://")):
                self.add("invalid url", f"{at}/image_url")
        elif self.check_object(shape["slack_file"], f"{at}/slack_file") and not (
            isinstance(shape["slack_file"].get("id"), str) or isinstance(shape["slack_file"].get("url"), str)
        ):
            self.add("missing required field: id or url", f"{at}/slack_file")
