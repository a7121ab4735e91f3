"""Messages to Slack: one attempt each, and what became of it in our own words.

Nothing is retried here. The SDK's own handlers are switched off, because a repeated `chat.postMessage` is a
second message; whether a post happened that was never answered is looked up by the message's metadata.

    NotDelivered
    ├── Limited        asked too often; says for how long and what is affected
    ├── Uncertain      no answer, or half of one: it may stand
    ├── Unreachable    the channel cannot be posted to
    ├── BlocksRefused  the blocks are not to Slack's liking; text alone may be
    ├── Vanished       the message to be edited is gone
    └── Shut           the token does not work; nothing will, until somebody acts
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from http.client import HTTPException  # shares no base with OSError
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackRequestError

from bot.calls import once
from bot.markup import short
from bot.views.blocks import Message
from jobs.errors import HourglassError
from trainer.masking import Mask

SECONDS = 10  # for one call
EVENT = "hourglass"  # the metadata's event_type
TITLE_MOST = 80  # characters of a picture's description that stand above it; its caption stands there anyway
_LOOK_BACK = 60.0  # seconds before our own note of it at which a post may be stamped: clocks differ

_UNREACHABLE = frozenset(
    {"channel_not_found", "not_in_channel", "is_archived", "restricted_action", "user_not_found", "cannot_dm_bot",
     "user_not_in_channel", "user_disabled", "messages_tab_disabled", "thread_not_found"}
)  # fmt: skip
_SHUT = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
     "org_login_required", "ekm_access_denied"}
)  # fmt: skip
_VANISHED = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
# Slack says "ok": false and may have done it all the same.
_HALF = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"})


class NotDelivered(HourglassError):
    """Slack did not take it; the message is Slack's own word for why."""


class Limited(NotDelivered):
    """Asked too often: nothing was done, and nothing will be for `seconds`."""

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Uncertain(NotDelivered):
    """No whole answer: it may stand."""


class Unreachable(NotDelivered):
    """That channel or person cannot be written to."""


class BlocksRefused(NotDelivered):
    """Slack does not accept the blocks."""


class Vanished(NotDelivered):
    """The message that was to be edited is gone or cannot be edited any more."""


class Shut(NotDelivered):
    """The token does not work, or not for this."""


class Delivery:
    """One workspace, reached with a bot's token."""

    def __init__(self, client: WebClient, *, mask: Mask | None = None) -> None:
        """Speak with the client's token; `mask` goes over everything that is said."""
        self._mask = mask or Mask({})
        self._client = once(client, SECONDS)

    def post(self, channel: str, message: Message, *, key: str, thread_ts: str | None = None) -> str:
        """Post and return the message's ts; `key` travels as metadata."""
        return str(
            self._call(
                self._client.chat_postMessage,
                channel=channel,
                text=message.text,
                blocks=list(message.blocks) or None,
                thread_ts=thread_ts,
                metadata={"event_type": EVENT, "event_payload": {"key": key}},
                unfurl_links=False,
                unfurl_media=False,
            )["ts"]
        )

    def edit(self, channel: str, ts: str, message: Message) -> None:
        """Replace what a message says; its metadata stays."""
        blocks = list(message.blocks)
        self._call(self._client.chat_update, channel=channel, ts=ts, text=message.text, blocks=blocks)

    def whisper(self, channel: str, user: str, message: Message, *, thread_ts: str | None = None) -> None:
        """Say something that only one person sees; Slack keeps no copy that could be looked up."""
        self._call(
            self._client.chat_postEphemeral,
            channel=channel,
            user=user,
            text=message.text,
            blocks=list(message.blocks) or None,
            thread_ts=thread_ts,
        )

    def upload(self, channel: str, thread_ts: str, png: bytes, *, name: str, caption: str, alt: str) -> None:
        """Share a picture in a thread; `name` is what it can be found by again."""
        self._call(
            self._client.files_upload_v2,
            content=png,
            filename=name,
            title=short(alt.partition(". ")[0], TITLE_MOST),
            alt_txt=alt,
            channel=channel,
            thread_ts=thread_ts,
            initial_comment=caption,
        )

    def direct(self, user: str) -> str:
        """Return the id of the direct conversation with a person."""
        return str(self._call(self._client.conversations_open, users=user)["channel"]["id"])

    def find(self, channel: str, key: str, *, thread_ts: str | None, since: datetime) -> str | None:
        """Return the ts of the message that carries `key`, None where there is none."""
        for message in self._recent(channel, thread_ts, since):
            metadata = message.get("metadata") or {}
            if metadata.get("event_type") == EVENT and metadata.get("event_payload", {}).get("key") == key:
                return str(message["ts"])
        return None

    def find_file(self, channel: str, name: str, *, thread_ts: str, since: datetime) -> str | None:
        """Return the ts of the reply that shows the file `name`, None where there is none."""
        for message in self._recent(channel, thread_ts, since):
            if any(file.get("name") == name for file in message.get("files") or ()):
                return str(message["ts"])
        return None

    def _recent(self, channel: str, thread_ts: str | None, since: datetime) -> list[dict[str, Any]]:
        """Return what was said since then, whole: half a listing would make a second message."""
        found: list[dict[str, Any]] = []
        cursor = ""
        asked: dict[str, Any] = {"channel": channel, "include_all_metadata": True, "limit": 200}
        asked["oldest"] = str(since.timestamp() - _LOOK_BACK)
        method: Callable[..., Any] = self._client.conversations_history
        if thread_ts is not None:
            method, asked["ts"] = self._client.conversations_replies, thread_ts
        while True:
            page = self._call(method, **asked, cursor=cursor or None)
            found += page["messages"]
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return found

    def _call(self, method: Callable[..., Any], **arguments: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = method(**self._mask.shown(arguments)).data
        except SlackApiError as error:
            raise _translated(error) from error
        except (SlackRequestError, HTTPException, OSError, ValueError, EOFError) as error:
            # Time-outs, broken connections, an answer that is no JSON, an upload that was not taken.
            raise Uncertain(f"{type(error).__name__}: {error}") from error
        return answer


def _translated(error: SlackApiError) -> NotDelivered:
    response = error.response
    status = response.get("status", 0) if isinstance(response, dict) else response.status_code
    headers = response.get("headers", {}) if isinstance(response, dict) else response.headers
    word = str(response.get("error") or f"status {status}")
    if status == 429 or word in ("ratelimited", "rate_limited", "message_limit_exceeded"):
        after = {str(name).lower(): value for name, value in headers.items()}.get("retry-after", "1")
        return Limited(word, seconds=max(1.0, float(after)))
    if status >= 500 or word in _HALF or not response.get("error"):
        return Uncertain(word)
    for kinds, kind in ((_UNREACHABLE, Unreachable), (_SHUT, Shut), (_VANISHED, Vanished), (_BLOCKS, BlocksRefused)):
        if word in kinds:
            return kind(word)
    return NotDelivered(word)
