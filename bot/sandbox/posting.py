"""What the app says: validated as Slack validates it, then stored.

Shared by chat.*, acknowledgements and response_urls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from bot.sandbox.files import Files
from bot.sandbox.ids import Ids
from bot.sandbox.limits import (
    ATTACHMENTS,
    MESSAGE_BLOCKS_TEXT,
    POST_TEXT,
    UPDATE_TEXT_BYTES,
    blocks_text_length,
    check_message_blocks,
    escaped,
)
from bot.sandbox.records import Channel, Json, Message, SlackError, StoredFile
from bot.sandbox.workspace import Workspace

METADATA_BYTES = 16_000


def with_block_ids(blocks: Sequence[Json], ids: Ids) -> list[Json]:
    """The blocks with a block_id each, and an action_id on each element, as Slack fills them in."""

    def element(one: object) -> object:
        if isinstance(one, dict) and one.get("type") not in ("image", "mrkdwn", "plain_text", None):
            return {"action_id": ids.secret(5), **one}
        return one

    filled: list[Json] = []
    for block in blocks:
        new = {"block_id": ids.secret(5), **block}
        if new["type"] == "actions":
            new["elements"] = [element(one) for one in new["elements"]]
        for key in ("accessory", "element"):
            if key in new:
                new[key] = element(new[key])
        filled.append(new)
    return filled


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a message says; None means "not given", which an edit keeps and a new message leaves empty."""

    text: str | None
    blocks: tuple[Json, ...] | None
    attachments: tuple[Json, ...] | None
    metadata: Json | None


class Posting:
    """Turns what the app sends into stored messages; guarded by the feed's lock."""

    def __init__(self, *, workspace: Workspace, files: Files, ids: Ids) -> None:
        self._workspace = workspace
        self._files = files
        self._ids = ids

    def content(self, given: Json, *, editing: bool = False) -> Content:
        """Validate text, blocks, attachments and metadata (decoded JSON), or raise Slack's error."""
        text = given.get("text")
        if text is not None and not isinstance(text, str):
            raise SlackError("invalid_arguments", response_metadata={"messages": ["[ERROR] text must be a string"]})
        blocks, attachments = given.get("blocks"), given.get("attachments")
        if text is not None:
            size = len(escaped(text).encode()) if editing else len(text)
            if size > (UPDATE_TEXT_BYTES if editing else POST_TEXT):
                raise SlackError("msg_too_long")
        if blocks is not None and not isinstance(blocks, list):
            raise SlackError("invalid_blocks_format")
        if attachments is not None and not isinstance(attachments, list):
            raise SlackError("invalid_attachments")
        if attachments and len(attachments) > ATTACHMENTS:
            raise SlackError("too_many_attachments")
        if blocks:
            self._check_blocks(blocks)
        if not (text and text.strip()) and not blocks and not attachments:
            raise SlackError("no_text")
        return Content(
            text=text,
            blocks=None if blocks is None else tuple(with_block_ids(blocks, self._ids)),
            attachments=None if attachments is None else tuple(cast(list[Json], attachments)),
            metadata=self._metadata(given.get("metadata")),
        )

    def say(
        self,
        channel: Channel,
        content: Content,
        *,
        thread_ts: str | None = None,
        broadcast: bool = False,
        only_for: str | None = None,
        files: tuple[str, ...] = (),
    ) -> Message:
        """Post in the app's name; the thread's parent must exist and be no reply itself."""
        if thread_ts is not None and only_for is None:
            self.check_parent(channel, thread_ts)
        return self._workspace.post(
            channel.id,
            lambda ts: Message(
                channel=channel.id,
                ts=ts,
                user=self._workspace.bot_user,
                bot=True,
                text=content.text or "",
                blocks=content.blocks or (),
                attachments=content.attachments or (),
                metadata=content.metadata or None,
                thread_ts=thread_ts,
                broadcast=broadcast and thread_ts is not None,
                only_for=only_for,
                files=files,
            ),
        )

    def edit(self, message: Message, content: Content) -> Message:
        """Change what the message says; what is not given stays."""
        return self._workspace.put(
            replace(
                message,
                text=message.text if content.text is None else content.text,
                blocks=message.blocks if content.blocks is None else content.blocks,
                attachments=message.attachments if content.attachments is None else content.attachments,
                metadata=message.metadata if content.metadata is None else content.metadata or None,
                edited_ts=self._workspace.next_ts(),
            )
        )

    def check_parent(self, channel: Channel, thread_ts: str) -> None:
        """Raise unless a thread can hang on that ts."""
        try:
            parent = self._workspace.message(channel.id, thread_ts)
        except SlackError:
            if not self._workspace.replies(channel.id, thread_ts):
                raise SlackError("thread_not_found") from None
            return  # the parent was deleted, its thread goes on
        if parent.thread_ts is not None:
            raise SlackError("cannot_reply_to_message")

    def _check_blocks(self, blocks: list[object]) -> None:
        lines = check_message_blocks(blocks)
        for index, block in enumerate(blocks):
            shown = block.get("slack_file") if isinstance(block, dict) else None
            if isinstance(shown, dict) and not self._files.showable(_names(shown)):
                lines.append(f"invalid slack file [json-pointer:/blocks/{index}/slack_file]")
        if lines:
            raise SlackError(
                "invalid_blocks", errors=lines, response_metadata={"messages": [f"[ERROR] {x}" for x in lines]}
            )
        if blocks_text_length(cast(list[Json], blocks)) > MESSAGE_BLOCKS_TEXT:
            raise SlackError("msg_blocks_too_long")

    def _metadata(self, metadata: object) -> Json | None:
        if metadata is None:
            return None
        if not isinstance(metadata, dict):
            raise SlackError("invalid_metadata_format")
        if metadata and not (
            isinstance(metadata.get("event_type"), str) and isinstance(metadata.get("event_payload"), dict)
        ):
            raise SlackError("invalid_metadata_schema")
        if len(json.dumps(metadata).encode()) > METADATA_BYTES:
            raise SlackError("metadata_too_large")
        return metadata


def _names(shown: Json) -> Callable[[StoredFile], bool]:
    """True for the file that an image block names, by its id or by its private URL."""
    return lambda file: file.id == shown.get("id") or f"-{file.id}/" in str(shown.get("url", ""))
