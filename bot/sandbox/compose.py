"""What typing becomes on its way: entities, mentions and links in messages, and what phones do to a line; pure."""

from __future__ import annotations

import re

from bot.sandbox.limits import escaped
from bot.sandbox.records import SlackError
from bot.sandbox.workspace import Workspace

_MENTION = re.compile(r"(?<![\w<@])@([a-z0-9][a-z0-9._-]*)", re.IGNORECASE)
_CHANNEL = re.compile(r"(?<![\w<&#])#([a-z0-9][a-z0-9_-]*)", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s<>|]+")
# What Slack's clients take for an address without being told.
_BARE_HOST = re.compile(r"(?<![\w./@-])((?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|ai)(?:/[^\s<>|]*)?)", re.IGNORECASE)


def message_text(typed: str, workspace: Workspace) -> str:
    """A typed message as apps receive it: &, <, > as entities, known @names and #channels as ids, links marked."""
    return _mentions(_URL.sub(lambda found: f"<{found[0]}>", escaped(typed)), workspace)


def command_text(typed: str, workspace: Workspace, *, should_escape: bool) -> str:
    """A command's text: as typed, or with mentions and entities where the command asked for it."""
    return message_text(typed, workspace) if should_escape else typed


def as_phone(typed: str) -> str:
    """The line as a phone's keyboard would have sent it: curly quotes, dashes, an ellipsis, addresses linked."""
    text = re.sub(r'(^|[\s(=])"', r"\1“", typed).replace('"', "”")
    text = re.sub(r"(^|[\s(=])'", r"\1‘", text).replace("'", "’")
    text = text.replace("...", "…").replace("--", "—")
    text = _URL.sub(lambda found: f"<{found[0]}|{found[0]}>", text)
    if "<http" in text:
        return text
    return _BARE_HOST.sub(lambda found: f"<http://{found[1]}|{found[1]}>", text)


def _mentions(text: str, workspace: Workspace) -> str:
    def person(found: re.Match[str]) -> str:
        try:
            return f"<@{workspace.user(found[1].lower()).id}>"
        except SlackError:
            return found[0]

    def channel(found: re.Match[str]) -> str:
        try:
            known = workspace.channel(found[1].lower())
        except SlackError:
            return found[0]
        return f"<#{known.id}|{known.name}>"

    return _CHANNEL.sub(channel, _MENTION.sub(person, text))
