"""chat.* and reactions.*: what the app says, changes and takes back."""

from __future__ import annotations

from dataclasses import replace

from bot.sandbox.arguments import Arguments, invalid
from bot.sandbox.ratelimit import SPECIAL, TIER_3, TIER_4, Rate
from bot.sandbox.records import Channel, Json, Message, SlackError
from bot.sandbox.state import State
from bot.sandbox.webapi import Method, RateLimited

# About one a second in each channel; Slack lets a short burst through.
POST_RATE = Rate(burst=3, per_second=1.0)


def place(state: State, where: str, *, posting: bool = False) -> Channel:
    """The channel the app means, if the app may see it; for posting it must be a member of one that is open."""
    workspace = state.workspace
    if posting and where in workspace.users:
        if where == workspace.bot_user:
            raise SlackError("channel_not_found")
        return workspace.direct(workspace.bot_user, where)
    channel = workspace.channel(where)
    inside = workspace.bot_user in channel.members
    if not inside and channel.kind != "public":
        raise SlackError("channel_not_found")
    if posting and channel.archived:
        raise SlackError("is_archived")
    if posting and not inside:
        raise SlackError("not_in_channel")
    return channel


def content_arguments(args: Arguments) -> Json:
    """The parts of a message out of a call, decoded."""
    return {
        "text": args.text("text"),
        "blocks": args.tree("blocks", "invalid_blocks_format"),
        "attachments": args.tree("attachments", "invalid_attachments"),
        "metadata": args.tree("metadata", "invalid_metadata_format"),
    }


def post_message(state: State, args: Arguments) -> Json:
    """chat.postMessage"""
    channel = place(state, args.required("channel"), posting=True)
    wait = state.limiter.take(f"chat.postMessage {channel.id}", POST_RATE)
    if wait:
        raise RateLimited(wait)
    message = state.posting.say(
        channel,
        state.posting.content(content_arguments(args)),
        thread_ts=args.text("thread_ts"),
        broadcast=args.flag("reply_broadcast"),
    )
    return {"channel": channel.id, "ts": message.ts, "message": state.message(message, metadata=True)}


def post_ephemeral(state: State, args: Arguments) -> Json:
    """chat.postEphemeral"""
    channel = place(state, args.required("channel"), posting=True)
    reader = args.required("user")
    if reader not in state.workspace.users or reader not in channel.members:
        raise SlackError("user_not_in_channel")
    message = state.posting.say(
        channel,
        state.posting.content(content_arguments(args)),
        thread_ts=args.text("thread_ts"),
        only_for=reader,
    )
    return {"message_ts": message.ts}


def _own(state: State, args: Arguments, refusal: str) -> Message:
    channel = place(state, args.required("channel"))
    message = state.workspace.message(channel.id, args.required("ts"))
    if not message.bot:
        raise SlackError(refusal)
    if channel.archived:
        raise SlackError("is_archived")
    return message


def update(state: State, args: Arguments) -> Json:
    """chat.update"""
    message = _own(state, args, "cant_update_message")
    edited = state.posting.edit(message, state.posting.content(content_arguments(args), editing=True))
    return {
        "channel": message.channel,
        "ts": message.ts,
        "text": edited.text,
        "message": state.message(edited, metadata=True),
    }


def delete(state: State, args: Arguments) -> Json:
    """chat.delete"""
    message = _own(state, args, "cant_delete_message")
    state.workspace.delete(message)
    return {"channel": message.channel, "ts": message.ts}


def permalink(state: State, args: Arguments) -> Json:
    """chat.getPermalink: a link into this sandbox's page"""
    channel = place(state, args.required("channel"))
    message = state.workspace.message(channel.id, args.required("message_ts"))
    thread = f"&thread={message.thread_ts}" if message.thread_ts else ""
    link = f"{state.base_url}/?channel={channel.id}{thread}#{message.ts}"
    return {"channel": channel.id, "permalink": link}


def _reacted(state: State, args: Arguments) -> tuple[Message, str, tuple[str, ...]]:
    message = state.workspace.message(
        place(state, args.required("channel"), posting=True).id, args.required("timestamp")
    )
    name = args.required("name").strip(":")
    if not name.replace("_", "").replace("-", "").replace("+", "").isalnum():
        raise invalid(f"invalid_name: {name}")
    return message, name, message.reactions.get(name, ())


def react(state: State, args: Arguments) -> Json:
    """reactions.add"""
    message, name, users = _reacted(state, args)
    bot = state.workspace.bot_user
    if bot in users:
        raise SlackError("already_reacted")
    state.workspace.put(replace(message, reactions={**message.reactions, name: (*users, bot)}))
    return {}


def unreact(state: State, args: Arguments) -> Json:
    """reactions.remove"""
    message, name, users = _reacted(state, args)
    bot = state.workspace.bot_user
    if bot not in users:
        raise SlackError("no_reaction")
    left = tuple(user for user in users if user != bot)
    others = {key: value for key, value in message.reactions.items() if key != name}
    state.workspace.put(replace(message, reactions={**others, name: left} if left else others))
    return {}


METHODS = {
    "chat.postMessage": Method(run=post_message, scope="chat:write", rate=None),
    "chat.postEphemeral": Method(run=post_ephemeral, scope="chat:write", rate=TIER_4),
    "chat.update": Method(run=update, scope="chat:write", rate=TIER_3),
    "chat.delete": Method(run=delete, scope="chat:write", rate=TIER_3),
    "chat.getPermalink": Method(run=permalink, rate=SPECIAL),
    "reactions.add": Method(run=react, scope="reactions:write", rate=TIER_3),
    "reactions.remove": Method(run=unreact, scope="reactions:write", rate=TIER_3),
}
