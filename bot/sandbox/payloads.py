"""The payloads that apps receive, complete as Slack sends them; built from state, sent by nobody here."""

from __future__ import annotations

from bot.sandbox.records import Channel, Json, Message, User
from bot.sandbox.state import State


def _person(state: State, user: User) -> Json:
    return {"id": user.id, "username": user.name, "name": user.name, "team_id": state.workspace.team.id}


def _team(state: State) -> Json:
    return {"id": state.workspace.team.id, "domain": state.workspace.team.domain}


def _channel_name(channel: Channel) -> str:
    return "directmessage" if channel.kind == "im" else channel.name


def slash_command(state: State, user: User, channel: Channel, command: str, text: str) -> Json:
    """The form of a slash command, with a fresh trigger_id and response_url."""
    path = state.response_urls.issue(channel=channel.id, user=user.id)
    return {
        "token": "",  # the deprecated verification token: apps check the signature
        "team_id": state.workspace.team.id,
        "team_domain": state.workspace.team.domain,
        "channel_id": channel.id,
        "channel_name": _channel_name(channel),
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": state.workspace.app_id,
        "is_enterprise_install": "false",
        "response_url": state.response_url(path),
        "trigger_id": state.triggers.issue(user.id),
    }


def message_action(state: State, user: User, channel: Channel, message: Message, action: Json, values: Json) -> Json:
    """block_actions for an element of a message; `values` is the state of the message's own inputs."""
    thread_ts = message.thread_ts
    path = state.response_urls.issue(channel=channel.id, user=user.id, message_ts=message.ts, thread_ts=thread_ts)
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": message.only_for is not None,
    }
    if thread_ts:
        container["thread_ts"] = thread_ts
    payload = _interaction(state, user, "block_actions") | {
        "container": container,
        "channel": {"id": channel.id, "name": _channel_name(channel)},
        "state": {"values": values},
        "response_url": state.response_url(path),
        "actions": [action],
    }
    if message.only_for is None:
        payload["message"] = state.message(message)
    return payload


def view_action(state: State, user: User, view: Json, action: Json, values: Json) -> Json:
    """block_actions for an element of an open modal."""
    return _interaction(state, user, "block_actions") | {
        "container": {"type": "view", "view_id": view["id"]},
        "view": view | {"state": {"values": values}},
        "actions": [action],
    }


def view_submission(state: State, user: User, view: Json, values: Json) -> Json:
    """view_submission with every input's value in the view's state."""
    return _interaction(state, user, "view_submission") | {
        "view": view | {"state": {"values": values}},
        "response_urls": [],
    }


def view_closed(state: State, user: User, view: Json, *, cleared: bool) -> Json:
    """view_closed, which only views that asked for it cause."""
    payload = _interaction(state, user, "view_closed") | {"view": view, "is_cleared": cleared}
    del payload["trigger_id"]
    return payload


def _interaction(state: State, user: User, kind: str) -> Json:
    return {
        "type": kind,
        "user": _person(state, user),
        "api_app_id": state.workspace.app_id,
        "token": "",
        "team": _team(state),
        "enterprise": None,
        "is_enterprise_install": False,
        "trigger_id": state.triggers.issue(user.id),
    }


def event(state: State, inner: Json) -> Json:
    """The outer event_callback around one event."""
    team = state.workspace.team.id
    return {
        "token": "",
        "team_id": team,
        "context_team_id": team,
        "context_enterprise_id": None,
        "api_app_id": state.workspace.app_id,
        "event": inner,
        "type": "event_callback",
        "event_id": state.ids.new("Ev"),
        "event_time": int(float(inner["event_ts"])),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": team,
                "user_id": state.workspace.bot_user,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": f"4-{state.ids.secret(40)}",
    }


def message_event(state: State, message: Message, channel: Channel) -> Json:
    """The inner `message` event of what a person said."""
    kinds = {"public": "channel", "private": "group", "im": "im"}
    return _said(state, message) | {"type": "message", "channel_type": kinds[channel.kind]}


def mention_event(state: State, message: Message) -> Json:
    """The inner `app_mention` event of a message that names the bot."""
    return _said(state, message) | {"type": "app_mention"}


def _said(state: State, message: Message) -> Json:
    inner: Json = {
        "user": message.user,
        "ts": message.ts,
        "client_msg_id": state.ids.uuid(),
        "text": message.text,
        "team": state.workspace.team.id,
        "channel": message.channel,
        "event_ts": message.ts,
    }
    return inner | ({"thread_ts": message.thread_ts} if message.thread_ts else {})
