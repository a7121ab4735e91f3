"""response_urls: five uses within thirty minutes, in the place and for the person they were issued for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.sandbox.clock import Clock
from bot.sandbox.ids import Ids
from bot.sandbox.posting import Posting
from bot.sandbox.records import Channel, Json, Message, SlackError
from bot.sandbox.workspace import Workspace

USES = 5
LIFE_S = 30 * 60.0


@dataclass(frozen=True, kw_only=True)
class _Permit:
    channel: str
    user: str
    message_ts: str | None  # the message that was acted on, None after a slash command
    thread_ts: str | None
    issued: float  # monotonic seconds
    uses: int = 0


class ResponseUrls:
    """The permits to answer that ride on commands and button presses; guarded by the feed's lock."""

    def __init__(self, *, clock: Clock, ids: Ids, workspace: Workspace, posting: Posting) -> None:
        self._clock = clock
        self._ids = ids
        self._workspace = workspace
        self._posting = posting
        self._permits: dict[str, _Permit] = {}

    def issue(self, *, channel: str, user: str, message_ts: str | None = None, thread_ts: str | None = None) -> str:
        """The path of a new response_url: who may be answered, and which message replaced."""
        path = f"{self._workspace.team.id}/{self._ids.number(13)}/{self._ids.secret(24)}"
        self._permits[path] = _Permit(
            channel=channel, user=user, message_ts=message_ts, thread_ts=thread_ts, issued=self._clock.monotonic()
        )
        return path

    def use(self, path: str, payload: Json) -> None:
        """Post, replace or delete as the payload says; `used_url`, `expired_url` or the content's own error."""
        permit = self._permits.get(path)
        if permit is None:
            raise SlackError("no_such_url")
        if self._clock.monotonic() - permit.issued > LIFE_S:
            raise SlackError("expired_url")
        if permit.uses >= USES:
            raise SlackError("used_url")
        self.answer(self._workspace.channel(permit.channel), permit.user, payload, permit.message_ts, permit.thread_ts)
        self._permits[path] = replace(permit, uses=permit.uses + 1)

    def answer(
        self,
        channel: Channel,
        user: str,
        payload: Json,
        message_ts: str | None = None,
        thread_ts: str | None = None,
    ) -> None:
        """Carry out one response payload; `response_type` defaults to ephemeral, as in Slack."""
        kind = payload.get("response_type", "ephemeral")
        if kind not in ("ephemeral", "in_channel"):
            raise SlackError("invalid_arguments")
        if payload.get("delete_original"):
            self._workspace.delete(self._original(channel, user, message_ts))
            return
        if payload.get("replace_original"):
            self._posting.edit(
                self._original(channel, user, message_ts), self._posting.content({"blocks": [], **payload})
            )
            return
        asked = payload.get("thread_ts")
        self._posting.say(
            channel,
            self._posting.content(payload),
            thread_ts=str(asked) if asked else thread_ts,
            only_for=user if kind == "ephemeral" else None,
        )

    def _original(self, channel: Channel, user: str, message_ts: str | None) -> Message:
        if message_ts is None:
            raise SlackError("message_not_found")
        return self._workspace.visible(channel.id, message_ts, user)
