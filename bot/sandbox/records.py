"""The nouns of a workspace as frozen records, and the errors of this package.

SandboxError            anything that the sandbox itself refuses; the message says what to do next
├── SlackError          an answer of the Web API: Slack's error code and what comes with it
└── PersonError         what a person could not have done in Slack either: no such button, not a member
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

# Slack's payloads are open-ended JSON: what is read out of them is checked where it is read (limits.py).
Json: TypeAlias = dict[str, Any]

ChannelKind = Literal["public", "private", "im"]


class SandboxError(Exception):
    """Anything that the sandbox refuses."""


class PersonError(SandboxError):
    """A person tried what Slack would not have offered."""


class SlackError(SandboxError):
    """A Web API call that is answered `{"ok": false}`."""

    def __init__(self, code: str, **extra: object) -> None:
        super().__init__(code)
        self.code = code
        self.extra = extra


@dataclass(frozen=True, kw_only=True)
class Team:
    """The workspace itself."""

    id: str
    name: str
    domain: str


@dataclass(frozen=True, kw_only=True)
class User:
    """A person, a guest or a bot."""

    id: str
    name: str  # the handle: "ada"
    real_name: str
    email: str | None = None  # bots have none
    title: str = ""  # what the page shows beside the name: "researcher"
    tz: str = "Etc/UTC"
    is_bot: bool = False
    is_restricted: bool = False  # a guest of several channels
    is_ultra_restricted: bool = False  # a guest of one channel
    deleted: bool = False


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A channel or a direct message."""

    id: str
    name: str  # empty for a direct message
    kind: ChannelKind
    members: frozenset[str]
    created: int  # unix seconds
    archived: bool = False
    topic: str = ""


@dataclass(frozen=True, kw_only=True)
class UserGroup:
    """A user group such as @gpu-leads."""

    id: str
    handle: str
    name: str
    users: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message as stored; `wire.message_json` is how Slack shows it."""

    channel: str
    ts: str
    user: str
    text: str
    bot: bool = False
    blocks: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()
    thread_ts: str | None = None  # the parent's ts on a reply, None elsewhere
    broadcast: bool = False
    metadata: Json | None = None
    edited_ts: str | None = None
    files: tuple[str, ...] = ()
    reactions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # name -> users
    only_for: str | None = None  # the one person who sees an ephemeral message
    subtype: str | None = None


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """An uploaded file; it can be seen only once it is complete."""

    id: str
    name: str
    title: str
    mimetype: str
    size: int  # bytes, as announced
    user: str
    alt_text: str | None = None
    content: bytes | None = None  # None until the upload came
    channels: tuple[str, ...] = ()
    completed: bool = False
    created: int = 0  # unix seconds
    ready_at: float = 0.0  # monotonic: an image block can show it from then on
    secret: str = ""  # the last part of its upload URL


@dataclass(frozen=True, kw_only=True)
class Change:
    """One step of the workspace's feed."""

    seq: int
    kind: Literal["message", "deleted", "views", "channel", "app"]
    channel: str | None = None
    ts: str | None = None
    user: str | None = None  # set: only this person may see it
