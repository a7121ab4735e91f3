"""The workspace as one person's page shows it: a snapshot, and each change as an update to it; pure reading."""

from __future__ import annotations

from bot.sandbox.records import Change, Channel, Json, Message, SlackError, User
from bot.sandbox.state import State


def snapshot(state: State, who: str, connected: bool) -> Json:
    """Everything this person's page needs at once; `user_not_found` for nobody."""
    with state.feed.lock:
        workspace = state.workspace
        people = [user for user in workspace.users.values() if user.email]
        me = workspace.user(who) if who else people[0]
        # Opened before the number is read: it is part of what the snapshot already shows.
        direct = workspace.direct(workspace.bot_user, me.id).id
        return {
            "seq": state.feed.seq,
            "team": workspace.team.name,
            "app": {"name": state.app.name, "user": workspace.bot_user, "connected": connected},
            "me": me.id,
            "people": [user.id for user in people],
            "users": {user.id: _face(user) for user in workspace.users.values()},
            "my_groups": [group.id for group in workspace.groups.values() if me.id in group.users],
            "groups": {group.id: group.handle for group in workspace.groups.values()},
            "direct": direct,
            "channels": [_room(state, one, me) for one in workspace.channels.values() if me.id in one.members],
            "views": state.views.stack(me.id),
            "commands": [
                {
                    "command": one.command,
                    "usage": one.usage_hint,
                    "description": one.description,
                    "completions": list(one.completions),
                }
                for one in state.app.commands
            ],
        }


def change_json(state: State, change: Change, user_id: str) -> Json | None:
    """One change as this person sees it, with the newest content; None when it is not theirs to see."""
    with state.feed.lock:
        if change.user not in (None, user_id):
            return None
        if change.kind == "views":
            return {"kind": "views", "views": state.views.stack(user_id)}
        channel = state.workspace.channels.get(change.channel or "")
        if channel is None or user_id not in channel.members:
            return None
        if change.kind == "channel":
            return {"kind": "channel", "channel": _room(state, channel, state.workspace.user(user_id))}
        gone: Json = {"kind": "deleted", "channel": channel.id, "ts": change.ts}
        if change.kind == "deleted":
            return gone
        try:
            message = state.workspace.visible(channel.id, change.ts or "", user_id)
        except SlackError:
            return gone  # it was deleted in the meantime; that change follows
        return {"kind": "message", "channel": channel.id, "message": _line(state, message)}


def _face(user: User) -> Json:
    return {"id": user.id, "name": user.name, "real_name": user.real_name, "title": user.title, "bot": user.is_bot}


def _room(state: State, channel: Channel, me: User) -> Json:
    workspace = state.workspace
    own = [m for m in workspace.ephemerals(me.id) if m.channel == channel.id]
    messages = sorted([*workspace.everything(channel.id), *own], key=lambda m: float(m.ts))
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": channel.kind,
        "topic": channel.topic,
        "archived": channel.archived,
        "other": next(iter(channel.members - {me.id}), me.id) if channel.kind == "im" else None,
        "members": len(channel.members),
        "has_app": workspace.bot_user in channel.members,
        "messages": [_line(state, message) for message in messages],
    }


def _line(state: State, message: Message) -> Json:
    return state.message(message) | {"channel": message.channel}
