"""How Slack writes the workspace's nouns down as JSON; pure."""

from __future__ import annotations

from bot.sandbox.records import Channel, Json, Message, StoredFile, User, UserGroup
from bot.sandbox.workspace import Workspace

# What a page may show in an <img>: everything else is offered as a download.
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def user_json(workspace: Workspace, user: User, *, email: bool) -> Json:
    """A user as users.info shows it; the address only with the scope for it."""
    profile: Json = {
        "real_name": user.real_name,
        "display_name": user.name,
        "title": user.title,
        "real_name_normalized": user.real_name,
        "display_name_normalized": user.name,
        "team": workspace.team.id,
    }
    if email and user.email:
        profile["email"] = user.email
    if user.is_bot:
        profile |= {"bot_id": workspace.bot_id, "api_app_id": workspace.app_id}
    return {
        "id": user.id,
        "team_id": workspace.team.id,
        "name": user.name,
        "deleted": user.deleted,
        "real_name": user.real_name,
        "tz": user.tz,
        "tz_label": "Coordinated Universal Time",
        "tz_offset": 0,
        "profile": profile,
        "is_admin": False,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "updated": 0,
    }


def channel_json(workspace: Workspace, channel: Channel, viewer: str) -> Json:
    """A conversation as conversations.info shows it to `viewer` (a user id)."""
    shared: Json = {
        "id": channel.id,
        "created": channel.created,
        "is_archived": channel.archived,
        "is_im": False,
        "is_mpim": False,
        "is_private": channel.kind != "public",
        "is_org_shared": False,
        "context_team_id": workspace.team.id,
        "updated": channel.created * 1000,
    }
    if channel.kind == "im":
        other = next(iter(channel.members - {viewer}), viewer)
        return shared | {"is_im": True, "user": other, "is_user_deleted": False, "priority": 0}
    return shared | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": channel.kind == "public",
        "is_group": channel.kind == "private",
        "is_general": False,
        "is_shared": False,
        "is_ext_shared": False,
        "is_member": viewer in channel.members,
        "num_members": len(channel.members),
        "creator": next(iter(workspace.users)),
        "unlinked": 0,
        "shared_team_ids": [workspace.team.id],
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "previous_names": [],
    }


def group_json(workspace: Workspace, group: UserGroup) -> Json:
    """A user group as usergroups.list shows it."""
    return {
        "id": group.id,
        "team_id": workspace.team.id,
        "is_usergroup": True,
        "name": group.name,
        "handle": group.handle,
        "description": "",
        "is_external": False,
        "date_delete": 0,
        "user_count": len(group.users),
        "users": list(group.users),
    }


def file_json(workspace: Workspace, file: StoredFile, base_url: str) -> Json:
    """A file as files.info shows it; its private URLs want the bot's token."""
    private = f"{base_url}/files-pri/{workspace.team.id}-{file.id}/{file.name}"
    shape: Json = {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title,
        "mimetype": file.mimetype,
        "filetype": file.name.rpartition(".")[2] or "binary",
        "user": file.user,
        "size": file.size,
        "mode": "hosted",
        "is_external": False,
        "is_public": True,
        "url_private": private,
        "url_private_download": private.replace("/files-pri/", "/files-pri/download/"),
        "permalink": f"{base_url}/page/files/{file.id}",
        "channels": list(file.channels),
        "groups": [],
        "ims": [],
    }
    if file.alt_text:
        shape["alt_txt"] = file.alt_text
    if file.mimetype in IMAGES:
        shape["thumb_360"] = private
    return shape


def bot_profile(workspace: Workspace) -> Json:
    """The app's face, as it rides on each of its messages."""
    return {
        "id": workspace.bot_id,
        "app_id": workspace.app_id,
        "name": workspace.users[workspace.bot_user].name,
        "deleted": False,
        "updated": 0,
        "team_id": workspace.team.id,
        "icons": {},
    }


def message_json(workspace: Workspace, message: Message, files: dict[str, Json], *, metadata: bool = False) -> Json:
    """A message as Slack's history shows it; `files` are the JSON of the files it carries, by id."""
    shape: Json = {
        "type": "message",
        "user": message.user,
        "text": message.text,
        "ts": message.ts,
        "team": workspace.team.id,
    }
    if message.subtype:
        shape["subtype"] = message.subtype
    if message.bot:
        shape |= {"bot_id": workspace.bot_id, "app_id": workspace.app_id, "bot_profile": bot_profile(workspace)}
    if message.blocks:
        shape["blocks"] = list(message.blocks)
    if message.attachments:
        shape["attachments"] = list(message.attachments)
    if message.edited_ts:
        shape["edited"] = {"user": message.user, "ts": message.edited_ts}
    if message.files:
        shape["files"] = [files[one] for one in message.files if one in files]
        shape["upload"] = True
    if message.reactions:
        shape["reactions"] = [
            {"name": name, "users": list(users), "count": len(users)} for name, users in message.reactions.items()
        ]
    if message.only_for:
        shape["is_ephemeral"] = True
    if metadata and message.metadata is not None:
        shape["metadata"] = message.metadata
    return shape | _thread_fields(workspace, message)


def _thread_fields(workspace: Workspace, message: Message) -> Json:
    if message.only_for:
        return {"thread_ts": message.thread_ts} if message.thread_ts else {}
    if message.thread_ts:
        parent = workspace.find(message.channel, message.thread_ts)
        fields: Json = {"thread_ts": message.thread_ts}
        if parent is not None:
            fields["parent_user_id"] = parent.user
        if message.broadcast:
            fields["subtype"] = "thread_broadcast"
        return fields
    replies = workspace.replies(message.channel, message.ts)
    if not replies:
        return {}
    who = list(dict.fromkeys(reply.user for reply in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users": who[:5],
        "reply_users_count": len(who),
        "latest_reply": replies[-1].ts,
        "is_locked": False,
        "subscribed": False,
    }
