"""conversations.*: the channels the app can see, who is in them and what was said there."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from bot.sandbox.arguments import Arguments, invalid
from bot.sandbox.methods_chat import place
from bot.sandbox.ratelimit import TIER_2, TIER_3, TIER_4
from bot.sandbox.records import Channel, Json, Message, SlackError
from bot.sandbox.state import State
from bot.sandbox.webapi import Method
from bot.sandbox.wire import channel_json

T = TypeVar("T")
READ = "channels:read|groups:read|im:read"
_TYPES = {"public_channel": "public", "private_channel": "private", "im": "im", "mpim": "mpim"}


def page(items: Sequence[T], args: Arguments, default: int) -> tuple[list[T], str]:
    """One page of `items` by the call's cursor and limit, and the cursor of the next ("" at the end)."""
    limit = args.number("limit", default) or default
    if not 0 < limit <= 1000:
        raise SlackError("invalid_limit")
    try:
        start = int(base64.urlsafe_b64decode(args.text("cursor") or "MA==").decode())
    except (ValueError, binascii.Error):
        raise SlackError("invalid_cursor") from None
    end = start + limit
    following = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else ""
    return list(items[start:end]), following


def list_channels(state: State, args: Arguments) -> Json:
    """conversations.list"""
    kinds = []
    for name in args.names("types") or ["public_channel"]:
        if name not in _TYPES:
            raise SlackError("invalid_types")
        kinds.append(_TYPES[name])
    bot = state.workspace.bot_user
    seen = [
        channel
        for channel in state.workspace.channels.values()
        if channel.kind in kinds
        and (channel.kind == "public" or bot in channel.members)
        and not (channel.archived and args.flag("exclude_archived"))
    ]
    some, following = page(seen, args, 100)
    return {
        "channels": [channel_json(state.workspace, one, bot) for one in some],
        "response_metadata": {"next_cursor": following},
    }


def info(state: State, args: Arguments) -> Json:
    """conversations.info"""
    return {"channel": _shown(state, place(state, args.required("channel")))}


def _shown(state: State, channel: Channel) -> Json:
    return channel_json(state.workspace, channel, state.workspace.bot_user)


def members(state: State, args: Arguments) -> Json:
    """conversations.members"""
    channel = place(state, args.required("channel"))
    some, following = page(sorted(channel.members), args, 100)
    return {"members": some, "response_metadata": {"next_cursor": following}}


def open_direct(state: State, args: Arguments) -> Json:
    """conversations.open: a direct message with one user"""
    workspace = state.workspace
    if args.has("channel"):
        channel = place(state, args.required("channel"))
        known = True
    else:
        users = args.names("users")
        if not users:
            raise SlackError("users_list_not_supplied")
        if len(users) > 1:
            raise invalid("this workspace opens direct messages with one person only: users")
        if users[0] not in workspace.users or users[0] == workspace.bot_user:
            raise SlackError("user_not_found")
        pair = frozenset({users[0], workspace.bot_user})
        known = any(one.members == pair for one in workspace.channels.values() if one.kind == "im")
        channel = workspace.direct(workspace.bot_user, users[0])
    shown = _shown(state, channel) if args.flag("return_im") else {"id": channel.id}
    return {"channel": shown, "no_op": known, "already_open": known}


def join(state: State, args: Arguments) -> Json:
    """conversations.join: public channels only"""
    channel = place(state, args.required("channel"))
    if channel.kind != "public":
        raise SlackError("method_not_supported_for_channel_type")
    if channel.archived:
        raise SlackError("is_archived")
    bot = state.workspace.bot_user
    if bot in channel.members:
        return {"channel": _shown(state, channel), "warning": "already_in_channel"}
    return {"channel": _shown(state, state.workspace.set_members(channel.id, channel.members | {bot}))}


def _readable(state: State, args: Arguments) -> Channel:
    channel = place(state, args.required("channel"))
    if state.workspace.bot_user not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _between(messages: Sequence[Message], args: Arguments) -> list[Message]:
    oldest, latest, inclusive = args.text("oldest"), args.text("latest"), args.flag("inclusive")
    try:
        low, high = float(oldest or 0), float(latest or "inf")
    except ValueError:
        raise SlackError("invalid_ts_latest" if latest else "invalid_ts_oldest") from None
    kept = []
    for message in messages:
        at = float(message.ts)
        if low < at < high or (inclusive and message.ts in (oldest, latest)):
            kept.append(message)
    return kept


def _told(state: State, messages: Sequence[Message], args: Arguments) -> list[Json]:
    metadata = args.flag("include_all_metadata")
    return [state.message(one, metadata=metadata) for one in messages]


def history(state: State, args: Arguments) -> Json:
    """conversations.history: newest first"""
    channel = _readable(state, args)
    newest_first = list(reversed(_between(state.workspace.history(channel.id), args)))
    some, following = page(newest_first, args, 100)
    answer: Json = {"messages": _told(state, some, args), "has_more": bool(following), "pin_count": 0}
    return answer | ({"response_metadata": {"next_cursor": following}} if following else {})


def replies(state: State, args: Arguments) -> Json:
    """conversations.replies: the parent, then its thread, oldest first"""
    channel = _readable(state, args)
    ts = args.required("ts")
    try:
        asked = state.workspace.message(channel.id, ts)
    except SlackError:
        raise SlackError("thread_not_found") from None
    if asked.thread_ts is not None:
        return {"messages": _told(state, [asked], args), "has_more": False}
    # The parent comes with every page of its thread, whatever the bounds.
    some, following = page(_between(state.workspace.replies(channel.id, ts), args), args, 1000)
    answer: Json = {"messages": _told(state, [asked, *some], args), "has_more": bool(following)}
    return answer | ({"response_metadata": {"next_cursor": following}} if following else {})


_HISTORY = "channels:history|groups:history|im:history"
METHODS = {
    "conversations.list": Method(run=list_channels, scope=READ, rate=TIER_2),
    "conversations.info": Method(run=info, scope=READ, rate=TIER_3),
    "conversations.members": Method(run=members, scope=READ, rate=TIER_4),
    "conversations.open": Method(run=open_direct, scope="im:write", rate=TIER_3),
    "conversations.join": Method(run=join, scope="channels:join", rate=TIER_3),
    "conversations.history": Method(run=history, scope=_HISTORY, rate=TIER_3),
    "conversations.replies": Method(run=replies, scope=_HISTORY, rate=TIER_3),
}
